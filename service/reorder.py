"""Events that were overtaken on their way: those of their stream wait a while for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from ..model.coded import Coded
from .config import ServiceConfig
from .ticket import Part

_EVENT = np.dtype(
    [
        ("due", np.float64),  # monotonic seconds
        ("time", np.float64),  # unix seconds
        ("stream", np.int64),  # a number while events of it wait
        ("part", np.int64),  # number of the part it came with
        ("index", np.int64),  # in that; past the events are the marks that end streams
    ]
)
_SLACK = 1024  # streams that have a number though no event of them waits

Order = Int64[np.ndarray, " events"]  # the places of events, in the order in which to score them


@dataclass
class _Waiting:
    part: Part
    due: float  # monotonic seconds
    bytes: int
    left: int  # events and marks that have not been given out
    rows: int  # of its batch, with those that are no events


class ReorderBuffer:
    """Gives out events so that those of one stream come by their times; one thread owns it.

    An event is due `reorder_seconds` after it came (0: nothing waits). With it come all of its
    stream that are not later, those of equal time as they came; of other streams, none. Events
    without a time of their own and those of batches with a number, which come in order, are due at
    once, and as late as they came, as are those of batches with marks that end streams: what comes
    later is another stream of that key.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._seconds = config.reorder_seconds
        # Half of what may be accepted: past that the first parts are due, and others can come in.
        self._most_rows = config.queue_events // (2 * config.threads)
        size = min(config.queue_bytes, config.sender_bytes or config.queue_bytes)
        self._most_bytes = size // (2 * config.threads)
        self._parts: dict[int, _Waiting] = {}  # not given out whole, by number, as they came
        self._number = 0  # of the next one
        self._n_rows = self._n_bytes = 0  # of all of them, whole
        self._received = -math.inf  # of the latest batch; the wall clock may step back
        self._events = np.zeros(0, _EVENT)  # that wait, as they came
        self._streams: dict[str, int] = {}  # numbers, in order

    def __len__(self) -> int:
        """Events and marks that wait."""
        return len(self._events)

    @property
    def next(self) -> float:
        """Monotonic time at which something is due; inf if nothing waits."""
        return next((waiting.due for waiting in self._parts.values()), math.inf)

    def exchange(self, came: Sequence[Part], now: float) -> tuple[list[Part], Order | None]:
        """Take parts in; returns what is due at monotonic time `now` (inf: all that waits).

        These are whole parts and pieces of parts, as they came, with the order to score the events
        of all of them in; None: as they lie.
        """
        if not self._seconds:
            return list(came), None
        added = [self._add(part, now) for part in came]
        self._events = np.concatenate([self._events, *added])
        stream, time = self._events["stream"], self._events["time"]
        due = self._events["due"] <= max(now, self._past_bounds())
        until = np.full(len(self._streams), -np.inf)  # by stream
        np.maximum.at(until, stream[due], time[due])
        out = time <= until[stream]
        given, self._events = self._events[out], self._events[~out]
        self._renumber()
        pieces = self._pieces(given)
        pieces += [part for part, events in zip(came, added, strict=True) if not len(events)]
        return pieces, np.argsort(given["time"][given["time"] < np.inf], kind="stable")

    def _add(self, part: Part, now: float) -> NDArray[Any]:
        """Have a part wait; returns its events and marks."""
        batch, rows, n = part.ticket.batch, part.rows, len(part.rows)
        size = n + len(part.ended)
        if not size:
            return np.zeros(0, _EVENT)
        stream = Coded.compact(rows.stream)
        part = replace(part, rows=replace(rows, stream=stream, name=Coded.compact(rows.name)))
        known, keys = self._streams, (*stream.values, *part.ended)
        numbers = np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)
        in_order = batch.seq > 0 or bool(part.ended)  # a mark ends what came before, nothing later
        self._received = max(self._received, batch.received)
        # An event without a time of its own was given that of its batch.
        at_once = (rows.time == batch.received) | np.isnan(rows.time) | in_order
        due = now + self._seconds
        events = np.zeros(size, _EVENT)
        events["due"][:n] = np.where(at_once, now, due)
        events["due"][n:] = now if in_order else due
        events["time"][:n] = np.where(at_once, self._received, rows.time)
        events["time"][n:] = np.inf
        events["stream"][:n] = numbers[stream.codes]
        events["stream"][n:] = numbers[len(stream.values) :]
        events["part"] = self._number
        events["index"] = np.arange(size)
        events_of = max(1, part.ticket.events)
        share, held = batch.size * n // events_of, len(batch) * n // events_of
        self._parts[self._number] = _Waiting(part, due, share, left=size, rows=held)
        self._number += 1
        self._n_rows += held
        self._n_bytes += share
        return events

    def _past_bounds(self) -> float:
        """When the last of the parts is due that are too many."""
        due, rows, size = -math.inf, self._n_rows, self._n_bytes
        for waiting in self._parts.values():
            if rows <= self._most_rows and size <= self._most_bytes:
                break
            rows -= waiting.rows
            size -= waiting.bytes
            due = waiting.due
        return due

    def _pieces(self, given: NDArray[Any]) -> list[Part]:
        """Parts with what is given out of each."""
        begins = np.flatnonzero(np.diff(given["part"], prepend=-1))
        pieces = []
        for number, index in zip(
            given["part"][begins].tolist(), np.split(given["index"], begins)[1:], strict=True
        ):
            waiting = self._parts[number]
            waiting.left -= len(index)
            pieces.append(waiting.part.piece(index, last=not waiting.left))
            if not waiting.left:
                del self._parts[number]
                self._n_rows -= waiting.rows
                self._n_bytes -= waiting.bytes
        return pieces

    def _renumber(self) -> None:
        """Let go of streams of which nothing waits, once they are most."""
        if len(self._streams) <= 2 * len(self._events) + _SLACK:
            return
        used, numbers = np.unique(self._events["stream"], return_inverse=True)
        keys = list(self._streams)
        self._streams = {keys[number]: at for at, number in enumerate(used.tolist())}
        self._events["stream"] = numbers
