"""The state of many streams in columns: one row a stream, rows given out and taken back by key."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt16
from numpy.typing import NDArray

from .coded import Coded
from .config import StreamConfig
from .errors import InputError, ModelError
from .eviction import outlived
from .kernels import N_DETECTORS, RING, TIMES
from .rows import Rows
from .snapshot import keys_of
from .stream_kernels import begin_rows, renumber_rows
from .vocabulary import NEW, START

STATE = np.dtype(
    [
        ("length", np.int64),  # tokens so far, the beginning's mark included
        ("last", np.float64),  # time of the last event whose time is known
        ("cusum", np.float64),
        ("surprise", np.float64),  # sum of all events' surprisals
        ("blocks", np.int64),  # endless streams: number of the current block
        ("touched", np.int64),  # batch of the last event, for eviction
        ("stats", np.float64, (N_DETECTORS,)),  # maximum of each statistic so far
        ("span", np.int32),  # events that the cusum has run over
        ("news", np.int32),
        ("joined", np.uint8),  # 1: the beginning was not seen
        ("ended", np.uint8),
        ("source", np.int32),  # whose clock its silence is counted by, as the caller numbers them
    ],
    align=True,
)
PART = 512  # rows that are saved together, when one of them has changed
_RESERVED_BYTES = 1 << 28  # of address space; growing past it copies all that is there
_ARRAYS = ("state", "ring", "gaps", "tally")
_COLUMNS = (*(STATE.names or ()), *_ARRAYS[1:])
SNAPSHOT = (*_COLUMNS, "key_bytes", "key_lengths", "clock")  # what one holds


class Streams:
    """Up to `most` streams; past that the longest silent of who has most of them are forgotten.

    A forgotten stream that returns is one joined in the middle.
    """

    def __init__(self, d_vocab: int, config: StreamConfig, *, most: int) -> None:
        self.most = most
        self.state = np.zeros(0, STATE)
        self.ring = np.zeros((0, RING), np.uint16)  # token ids, position modulo RING
        # Seconds since the event before, position modulo TIMES; nan where the time is unknown.
        self.gaps = np.zeros((0, TIMES), np.float32)
        self.tally = np.zeros((0, d_vocab), np.uint16)  # events by token, saturating
        self.senders = np.zeros(0, np.uint32)  # by row, as the caller numbers them; 0: not known
        self.keys: list[str | None] = []  # by row
        self.forgotten: list[int] = []  # rows taken back since the caller last looked
        self.tick = 0  # number of the current batch
        self.known_since = math.nan  # event time from which on no stream was unseen or forgotten
        self.watermark = math.nan  # latest event time seen
        self._rows = Rows()
        self._free: list[int] = []
        self._openings = config.openings
        self._stale = np.ones(1, np.bool_)  # by part: not saved as it is now
        row_bytes = sum(array.itemsize * math.prod(array.shape[1:]) for array in self.arrays())
        self._grow(max(1, min(most, _RESERVED_BYTES // row_bytes)))

    def __len__(self) -> int:
        return len(self._rows)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The state of all streams as the kernels take it."""
        return tuple(getattr(self, name) for name in _ARRAYS)

    def known(self) -> list[str]:
        """Keys of all streams."""
        return [key for key in self.keys if key is not None]

    def rows(self, keys: Sequence[str]) -> Int64[np.ndarray, " streams"]:
        """Rows of streams that are known; KeyError for one that is not."""
        rows = self._rows.find(keys)
        if len(unknown := np.flatnonzero(rows < 0)):
            raise KeyError(keys[int(unknown[0])])
        return rows

    def find(self, keys: Sequence[str]) -> Int64[np.ndarray, " streams"]:
        """Rows of those streams that are known."""
        rows = self._rows.find(keys)
        return rows[rows >= 0]

    def recent(self, key: str) -> tuple[int, tuple[int, ...]]:
        """How many tokens a stream has had, and those that are kept; none if it is not known."""
        row = int(self._rows.find([key])[0])
        if row < 0:
            return 0, ()
        length = int(self.state["length"][row])
        places = np.arange(max(0, length - RING), length) % RING
        return length, tuple(self.ring[row, places].tolist())

    def assign(
        self,
        keys: Sequence[str],
        names: Sequence[str | None],
        times: Float64[np.ndarray, " events"],
        started: Collection[str],
    ) -> Int64[np.ndarray, " events"]:
        """The row of each event's stream; streams not known yet begin here.

        By the name and time of its first event it is judged whether a stream began before, unless
        it is among `started`.
        """
        coded = Coded.of(keys)
        rows = np.asarray(self._rows.find(coded.values)[coded.codes])
        self.state["touched"][rows[rows >= 0]] = self.tick  # none of these must be forgotten
        opened: dict[str, bool] = {}
        missing = np.flatnonzero(rows < 0)
        if not len(missing):
            self.changed(rows)
            return rows
        unknown = list(coded.take(missing))
        first = dict(zip(reversed(unknown), reversed(missing.tolist()), strict=True))
        for key in dict.fromkeys(unknown):
            index = first[key]
            began = key in started or self._begins(names[index], float(times[index]))
            if len(self._free) <= len(opened) and len(self) + len(opened) >= self.most:
                self._set_up(opened)  # nor of these
                opened = {}
                self._forget_oldest()
            opened[key] = not began
        self._set_up(opened)
        rows[missing] = self._rows.find(unknown)
        self.changed(rows)
        return rows

    def changed(self, rows: Int64[np.ndarray, " rows"]) -> None:
        """Note that the state of these rows is not what it was when it was saved last."""
        self._stale[rows // PART] = True

    def stale(self) -> list[int]:
        """Numbers of the parts that have changed since `part` gave them last."""
        return np.flatnonzero(self._stale[: self._n_parts]).tolist()

    def part(self, number: int) -> dict[str, NDArray[Any]]:
        """One part of a snapshot, as arrays."""
        self._stale[number] = False
        rows = slice(number * PART, min((number + 1) * PART, len(self.keys)))
        known = [key for key in self.keys[rows] if key is not None]
        state = {name: column[rows].copy() for name, column in self._columns().items()}
        if len(known) < len(self.keys[rows]):
            keep = np.array([key is not None for key in self.keys[rows]])
            state = {name: column[keep] for name, column in state.items()}
        keys = [key.encode() for key in known]
        state["key_bytes"] = np.frombuffer(b"".join(keys), dtype=np.uint8).copy()
        state["key_lengths"] = np.array([len(key) for key in keys], dtype=np.int64)
        return state

    def clock(self) -> Float64[np.ndarray, " 3"]:
        """What is known of time, and the number of the current batch."""
        return np.array([self.known_since, self.watermark, float(self.tick)])

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take up all parts, put together, with the clock; ModelError if another model has them.

        Of more than `most` the longest silent are forgotten.
        """
        keys = keys_of(snapshot)
        n = len(keys)
        for name, column in self._columns().items():
            array, shape = snapshot[name], (n, *column.shape[1:])
            if (array.dtype, array.shape) != (column.dtype, shape):
                raise ModelError(
                    f"saved streams do not fit this model: {name} should be {column.dtype} {shape},"
                    f" is {array.dtype} {array.shape}"
                )
        # Kernels look these up without asking.
        bounds = {"ring": (0, self.tally.shape[1]), "length": (1, 1 << 62)}
        bounds |= {"joined": (0, 2), "ended": (0, 2), "source": (0, 1 << 31)}
        for name, (least, end) in bounds.items():
            if n and not (least <= snapshot[name].min() and snapshot[name].max() < end):
                raise ModelError(f"saved streams do not fit this model: {name} is out of bounds")
        clock = snapshot["clock"].astype(np.float64).tolist()
        self.known_since, self.watermark, self.tick = clock[0], clock[1], int(clock[2])
        self._grow(n)
        for name, column in self._columns().items():
            column[:n] = snapshot[name]
        self.keys = list(keys)
        self._rows = Rows()
        self._rows.put(keys, np.arange(n))
        self.changed(np.arange(n))
        if n > self.most:
            self.forget(np.argsort(self.state["touched"][:n], kind="stable")[: n - self.most])

    def take_over(
        self, old: Streams, ids: UInt16[np.ndarray, " d_vocab"]
    ) -> Int64[np.ndarray, " lost"]:
        """Go on with the streams of `old`, in their rows; its token t is `ids[t]` here.

        Returns the rows of streams with events that are `<new>` only here; they are to be
        forgotten. Nothing but tokens is copied, as whoever sends waits meanwhile: the rest is
        shared, so that from here on only one of the two may be used.
        """
        n, capacity = len(old.keys), len(old.state)
        lost = (ids == NEW) & (np.arange(len(ids)) != NEW)
        # Events that the old model did not know stay so: of them only the number was kept. Of what
        # it did not have there were none, as there are of `<start>`, which is no event.
        token_before = np.full(self.tally.shape[1], START)
        token_before[ids[~lost]] = np.flatnonzero(~lost)
        self.ring = np.zeros((capacity, RING), np.uint16)
        self.tally = np.zeros((capacity, len(token_before)), np.uint16)
        renumber_rows(old.arrays(), n, ids, token_before, self.ring, self.tally)
        self.state, self.gaps, self.keys = old.state, old.gaps, old.keys
        self._rows, self._free, self.senders = old._rows, old._free, old.senders
        self.known_since, self.watermark, self.tick = old.known_since, old.watermark, old.tick
        self._stale = np.ones_like(old._stale)
        had = np.flatnonzero(old.tally[:n, lost].any(axis=1)).tolist()
        return np.array([row for row in had if old.keys[row] is not None], dtype=np.int64)

    def leave(self, sources: Sequence[int]) -> None:
        """Have the streams of these sources be of source 0."""
        source = self.state["source"]
        rows = np.flatnonzero(np.isin(source[: len(self.keys)], sources))
        source[rows] = 0
        self.changed(rows)

    def forget(self, rows: Int64[np.ndarray, " rows"]) -> None:
        """Take back the rows of streams."""
        # One of them may come back, and would have been silent since.
        last = self.state["last"][rows]
        self.known_since = float(np.fmax.reduce(last, initial=self.known_since))
        self.changed(rows)
        self.state["ended"][rows] = 1
        self._rows.remove([key for row in rows.tolist() if (key := self.keys[row]) is not None])
        for row in rows.tolist():
            self.keys[row] = None
            self.forgotten.append(row)
            self._free.append(row)

    @property
    def _n_parts(self) -> int:
        return max(1, -(-len(self.keys) // PART))

    def _begins(self, name: str | None, time: float) -> bool:
        """Whether a stream that is not known begins with this event.

        Had it begun before, it would have been silent for as long as all streams are known.
        """
        silence = self._openings.get(name) if name else None
        return silence is not None and (silence == 0.0 or time - self.known_since > silence)

    def _set_up(self, opened: Mapping[str, bool]) -> None:
        """Give rows to streams of which nothing is known but whether they were joined in the
        middle.
        """
        if not opened:
            return
        rows = []
        for key in opened:
            if self._free:
                rows.append(self._free.pop())
                self.keys[rows[-1]] = key
            else:
                rows.append(len(self.keys))
                self.keys.append(key)
        self._grow(len(self.keys))
        given = np.array(rows)
        self._rows.put(list(opened), given)
        self.senders[given] = 0
        begin_rows(self.arrays(), given, np.array(list(opened.values())), self.tick)

    def _forget_oldest(self) -> None:
        """Forget an eighth of the streams: the longest silent of whoever has most of them."""
        touched = self.state["touched"][: len(self.keys)]
        idle = np.flatnonzero(touched < self.tick)
        if not len(idle):
            raise InputError(
                f"one batch names more than the {self.most} streams that are kept; send smaller "
                "batches or allow more streams"
            )
        count = min(len(idle), max(1, len(self.keys) // 8))
        self.forget(idle[outlived(touched[idle], self.senders[idle], count)])

    def _columns(self) -> dict[str, NDArray[Any]]:
        """All that is kept of the streams by name, one row a stream."""
        return {
            name: getattr(self, name) if name in _ARRAYS else self.state[name] for name in _COLUMNS
        }

    def _grow(self, capacity: int) -> None:
        old = len(self.state)
        if capacity <= old:
            return
        for name in (*_ARRAYS, "senders"):
            array = getattr(self, name)
            # Zeroed pages cost nothing until they are touched: rows not used yet are free.
            grown = np.zeros((max(capacity, 2 * old), *array.shape[1:]), array.dtype)
            grown[:old] = array
            setattr(self, name, grown)
        stale = np.zeros(-(-len(self.state) // PART), np.bool_)
        stale[: len(self._stale)] = self._stale
        self._stale = stale
