"""Streams of batches that wait for room: each gets its turn, and none ends for want of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field

from ..model.errors import OverloadError
from .batch import Batch, Outcome
from .engine import Engine
from .errors import LimitError

_PATIENCE_SECONDS = 5.0  # without anything scored, until a stream ends and its client is told why
_MOST_SECONDS = 60.0  # that a batch waits for room, whatever is scored meanwhile
_LOOK_SECONDS = 0.05  # between two looks for room


@dataclass
class _Line:
    """Who waits for room in one model's share."""

    head: asyncio.Lock = field(default_factory=asyncio.Lock)  # who came first gets it first
    taken: float = -math.inf  # when a batch was taken last, on the monotonic clock


class Turns:
    """Submits batches of streams to an engine; on the event loop's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)

    async def submit(self, batch: Batch) -> Future[Outcome]:
        """What comes of the batch, once there is room for it; OverloadError where there is none for
        long, as when the store fails.
        """
        while True:
            try:
                return await self._in_line(batch)
            except LimitError as error:  # it waits beside the line, for itself alone
                await asyncio.sleep(error.retry_seconds)

    async def _in_line(self, batch: Batch) -> Future[Outcome]:
        served = self._engine.of(batch.model)
        line = self._lines[served.name]
        began = time.monotonic()
        async with line.head:
            while True:
                try:
                    future = self._engine.submit(batch, patient=True)
                except LimitError:
                    raise
                except OverloadError as error:
                    # As long as its model scores, however slowly, there will be room.
                    last = max(began, line.taken, served.load.scored)
                    if time.monotonic() > min(last + _PATIENCE_SECONDS, began + _MOST_SECONDS):
                        served.metrics.events["refused"].inc(len(batch))
                        raise
                    await asyncio.sleep(min(_LOOK_SECONDS, error.retry_seconds))
                else:
                    line.taken = time.monotonic()
                    return future
