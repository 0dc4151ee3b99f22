"""A shard's state on its way to the store: piece by piece, so that no alert waits for long."""

from __future__ import annotations

import math
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ..model.detector import Detector
from .arrays import Arrays, Saved
from .stored import StoredAlert
from .writer import Entry, Writer

_BYTES_PER_SECOND = 16 << 20  # of memory: one piece after the other would hold up what is scored


class Saving:
    """Saves what has changed, from time to time. The shard's thread calls all methods.

    The parts of a round are copied one after the other, some time after the one before, and the
    arrays that say how far clients came, as they were when the round began, go last: what is saved
    is never behind what they say. What a service or a model before has saved stays until the first
    round is over. `stored` is called (by the writer's thread) with every piece.
    """

    def __init__(
        self,
        shard: tuple[str, int],
        writer: Writer,
        every_seconds: float,
        stored: Callable[[], None],
    ) -> None:
        self._shard = shard
        self._writer = writer
        self._every_seconds = every_seconds
        self._call = stored
        self._parts: deque[int] = deque()  # of this round, still to be stored
        self._arrays: Arrays | None = None  # what comes after them; None: no round is under way
        self._piece = False  # one is on its way
        self._first = True  # nothing was saved by this run
        self._state = uuid.uuid4().hex  # the name of what is saved here
        self._next = -math.inf  # with the first events, as the saved state is then out of date

    @property
    def next(self) -> float:
        """When the next piece of this round is due, by the monotonic clock."""
        return math.inf if self._piece or self._arrays is None else self._next

    def begin_anew(self) -> None:
        """What is saved is of no use any more: another model serves."""
        self._parts.clear()
        self._arrays = None
        self._state = uuid.uuid4().hex
        self._next = -math.inf

    def is_due(self) -> bool:
        """Whether a round may begin; while the store fails none does, they would pile up."""
        return self._arrays is None and not self._piece and time.monotonic() >= self._next

    def begin(self, detector: Detector, arrays: Arrays) -> None:
        """Begin a round."""
        self._arrays = arrays
        self._parts.extend(detector.stale())

    def go_on(self, detector: Detector) -> None:
        """Have the next piece stored, if it is its turn."""
        now = time.monotonic()
        if self._piece or self._arrays is None or now < self._next:
            return
        if self._parts:
            number = self._parts.popleft()
            saved = Saved(self._state, parts={number: detector.part(number)})
            self._next = now + saved.nbytes / _BYTES_PER_SECOND
        else:
            saved = Saved(self._state, self._arrays)
            self._arrays = None
            self._next = now + self._every_seconds
        self._put(saved)

    def finish(self, detector: Detector, arrays: Arrays) -> None:
        """Save all that is left: nothing will happen to the streams any more."""
        parts = {number: detector.part(number) for number in detector.stale()}
        self._put(Saved(self._state, arrays, parts, complete=True))

    def _put(self, saved: Saved) -> None:
        saved = replace(saved, first=self._first)
        self._first, self._piece = False, True
        self._writer.put(Entry(state=(*self._shard, saved), done=self._stored))

    def _stored(self, _: list[StoredAlert]) -> None:
        self._piece = False
        self._call()
