"""What a client has yet to send, and to see acknowledged: rows gather into batches of columns."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from ..model.event import well_formed
from ..protos import detector_pb2 as pb

BATCH_ROWS = 1024  # sent at the latest when so many have come together
_BATCH_CHARACTERS = 512 << 10
_LINGER_SECONDS = 0.02  # sent at the latest so long after the first came


class Outbox:
    """Batches in the order of their numbers. One thread adds, another one sends and acknowledges.

    A row that differs in kind from those gathered (named or raw, with a time or without) begins a
    new batch, as a batch has one kind. `again` are batches with numbers of another client's.
    """

    def __init__(
        self, client: str, window: int, model: str = "", again: Sequence[pb.EventBatch] = ()
    ) -> None:
        self._client = client
        self._model = model
        self._window = window
        self._batches = deque(again)  # complete, not acknowledged
        self._sent = 0  # of these, on the current connection
        self.connection = 0
        self._open: _Gathering | None = None
        self._seq = 0
        self.changed = threading.Condition()

    def __len__(self) -> int:
        """Batches that are not acknowledged."""
        return len(self._batches) + (self._open is not None)

    def add(
        self,
        *,
        stream: str | None,
        name: str | None = None,
        line: str | None = None,
        time_micros: int = 0,
        started: bool = False,
    ) -> None:
        """Add an event or a raw line; `full` says when to wait before the next."""
        with self.changed:
            kind = (stream is None, name is None, time_micros == 0)
            if self._open is not None and (self._open.kind != kind or stream in self._open.ended):
                self._complete()
            gathering = self._gathering(kind)
            gathering.add(stream, name, line, time_micros, started=started)
            if gathering.is_full():
                self._complete()

    def end(self, stream: str) -> None:
        """Mark a stream as over after all that was added."""
        with self.changed:
            if self._open is not None and self._open.kind[0]:
                self._complete()
            self._gathering((False, False, True)).end(stream)

    @property
    def full(self) -> bool:
        return len(self._batches) >= self._window

    def complete(self) -> None:
        """Let what has gathered go out now."""
        with self.changed:
            self._complete()

    def connect(self) -> int:
        """A new connection, by number; all that is not acknowledged is to be sent on it."""
        with self.changed:
            self._sent = 0
            self.connection += 1
            self.changed.notify_all()
            return self.connection

    def next(self, connection: int, timeout: float) -> pb.EventBatch | None:
        """The next batch to send; None if none is due in `timeout`, or the connection is old."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while connection == self.connection:
                if self._sent < len(self._batches):
                    self._sent += 1
                    return self._batches[self._sent - 1]
                now = time.monotonic()
                linger = deadline if self._open is None else self._open.began + _LINGER_SECONDS
                if self._open is not None and now >= linger:
                    self._complete()
                elif now >= deadline:
                    return None
                else:
                    self.changed.wait(min(deadline, linger) - now)
        return None

    @property
    def rows(self) -> int:
        """Rows that are not acknowledged."""
        with self.changed:
            batches = [*self._batches, *([] if self._open is None else [self._open.batch])]
            return sum(len(batch.lines) or len(batch.name_ix) for batch in batches)

    def acknowledge(self, seq: int) -> None:
        """Forget the batches up to the first with the number `seq`, which is acknowledged before
        any other with the same.
        """
        with self.changed:
            known = seq in (batch.seq for batch in self._batches)
            while known:
                known = self._batches.popleft().seq != seq
                self._sent = max(0, self._sent - 1)
            self.changed.notify_all()

    def _gathering(self, kind: tuple[bool, bool, bool]) -> _Gathering:
        if self._open is None:
            self._seq += 1
            batch = pb.EventBatch(seq=self._seq, client=self._client, model=self._model)
            self._open = _Gathering(kind, batch)
            self.changed.notify_all()
        return self._open

    def _complete(self) -> None:
        if self._open is not None:
            self._batches.append(self._open.batch)
            self._open = None
            self.changed.notify_all()


class _Gathering:
    """A batch that rows are added to."""

    def __init__(self, kind: tuple[bool, bool, bool], batch: pb.EventBatch) -> None:
        self.kind = kind
        self.batch = batch
        self.ended: set[str] = set()
        self.began = time.monotonic()
        self._streams: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._rows = self._characters = 0
        self._last_micros = 0

    def add(
        self,
        stream: str | None,
        name: str | None,
        line: str | None,
        time_micros: int,
        *,
        started: bool,
    ) -> None:
        batch = self.batch
        if stream is not None:
            ix = self._stream(stream)
            batch.stream_ix.append(ix)
            if started:
                batch.started.append(ix)
        if name is not None:
            ix = self._names.setdefault(name, len(self._names))
            if ix == len(batch.names):
                batch.names.append(well_formed(name))
                self._characters += len(name)
            batch.name_ix.append(ix)
        elif line is not None:
            batch.lines.append(well_formed(line))
            self._characters += len(line)
        if time_micros:
            if not self._rows:
                batch.base_time_micros = self._last_micros = time_micros
            batch.time_delta_micros.append(time_micros - self._last_micros)
            self._last_micros = time_micros
        self._rows += 1

    def end(self, stream: str) -> None:
        self.ended.add(stream)
        self.batch.ended.append(self._stream(stream))

    def is_full(self) -> bool:
        return self._rows >= BATCH_ROWS or self._characters >= _BATCH_CHARACTERS

    def _stream(self, stream: str) -> int:
        ix = self._streams.setdefault(stream, len(self._streams))
        if ix == len(self.batch.streams):
            self.batch.streams.append(well_formed(stream))
            self._characters += len(stream)
        return ix
