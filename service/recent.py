"""The batches that came last: what another model is tried on before it serves."""

from __future__ import annotations

import threading
from collections import deque

from .batch import Batch

_EVENTS = 8192
_BYTES = 4 << 20
_BATCH_BYTES = 1280  # that one of a single event takes at the most, besides what its message has


class Recent:
    """Keeps as many as have so many events, and so many bytes in their messages and around them;
    the last one whatever it has. A message's bytes are those on the wire: its texts and marks may
    take six times that in memory.
    """

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._events = self._bytes = 0
        self._lock = threading.Lock()

    def add(self, batch: Batch) -> None:
        if not len(batch):
            return
        with self._lock:
            self._batches.append(batch)
            self._events += len(batch)
            self._bytes += batch.size + _BATCH_BYTES
            while len(self._batches) > 1 and (self._events > _EVENTS or self._bytes > _BYTES):
                first = self._batches.popleft()
                self._events -= len(first)
                self._bytes -= first.size + _BATCH_BYTES

    def batches(self) -> list[Batch]:
        """In the order in which they came."""
        with self._lock:
            return list(self._batches)
