"""The state of many streams in columns: one row a stream, rows given out and taken back by key."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from .config import StreamConfig
from .errors import InputError, ModelError
from .kernels import N_DETECTORS, RING
from .vocabulary import PAST, START

_COLUMNS: dict[str, tuple[type, tuple[str | int, ...], float]] = {
    # name: (dtype, shape of a row, value of an unused row); in the kernels' order
    "ring": (np.int32, (RING,), 0),  # token ids, position modulo RING
    "ring_time": (np.float64, (RING,), 0),  # their times; the mark's own is nan
    "length": (np.int64, (), 0),  # tokens so far, the beginning's mark included
    "last": (np.float64, (), np.nan),  # time of the last event
    "joined": (np.uint8, (), 0),  # 1: the beginning was not seen
    "ended": (np.uint8, (), 0),
    "cusum": (np.float64, (), 0),
    "span": (np.int64, (), 0),  # events that the cusum has run over
    "news": (np.int64, (), 0),
    "blocks": (np.int64, (), -1),  # endless streams: number of the current block
    "stats": (np.float64, (N_DETECTORS,), 0),  # maximum of each statistic so far
    "tally": (np.uint16, ("d_vocab",), 0),  # events by token, saturating
    "touched": (np.int64, (), 0),  # batch of the last event, for eviction
    "surprise": (np.float64, (), 0),  # sum of all events' surprisals
}


def only(
    snapshot: Mapping[str, NDArray[Any]], keep: Bool[np.ndarray, " streams"]
) -> dict[str, NDArray[Any]]:
    """The snapshot of `Streams` without those streams that are not to be kept."""
    kept = {name: snapshot[name][keep] for name in (*_COLUMNS, "key_lengths")}
    kept["key_bytes"] = snapshot["key_bytes"][np.repeat(keep, snapshot["key_lengths"])]
    return {**snapshot, **kept}


class Streams:
    """Up to `most` streams; past that the longest silent are forgotten.

    A forgotten stream that returns is one joined in the middle.
    """

    def __init__(self, d_vocab: int, config: StreamConfig, *, most: int) -> None:
        self.most = most
        self.columns: dict[str, NDArray[Any]] = {}
        self.keys: list[str | None] = []  # by row
        self.forgotten: list[int] = []  # rows taken back since the caller last looked
        self.tick = 0  # number of the current batch
        self.known_since = (
            math.nan
        )  # event time from which on no stream went unseen or was forgotten
        self.watermark = math.nan  # latest event time seen
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._d_vocab = d_vocab
        self._openings = config.openings
        self._grow(64)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def state(self) -> tuple[NDArray[Any], ...]:
        """All columns in the kernels' order."""
        return tuple(self.columns.values())

    def known(self) -> list[str]:
        """Keys of all streams."""
        return list(self._rows)

    def rows(self, keys: Sequence[str]) -> Int64[np.ndarray, " streams"]:
        """Rows of streams that are known; KeyError for one that is not."""
        return np.array([self._rows[key] for key in keys], dtype=np.int64)

    def find(self, key: str) -> int | None:
        """Row of a stream, None if it is not known."""
        return self._rows.get(key)

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
        rows = np.empty(len(keys), np.int64)
        known = self._rows
        for index, key in enumerate(keys):
            row = known.get(key, -1)
            if row < 0:
                began = key in started or self._begins(names[index], float(times[index]))
                row = self._open(key, joined=not began)
            rows[index] = row
        return rows

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All streams as arrays: what a restart needs to go on as if uninterrupted."""
        rows = np.array(list(self._rows.values()), dtype=np.int64)
        state = {name: column[rows] for name, column in self.columns.items()}
        keys = [key.encode() for key in self._rows]
        state["key_bytes"] = np.frombuffer(b"".join(keys), dtype=np.uint8).copy()
        state["key_lengths"] = np.array([len(key) for key in keys], dtype=np.int64)
        state["clock"] = np.array([self.known_since, self.watermark, float(self.tick)])
        return state

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take up the state that `snapshot` left; ModelError if it is another model's."""
        lengths = snapshot["key_lengths"].astype(np.int64)
        n = len(lengths)
        for name, column in self.columns.items():
            expected = (n, *column.shape[1:])
            if name not in snapshot or snapshot[name].shape != expected:
                got = snapshot[name].shape if name in snapshot else "nothing"
                raise ModelError(
                    f"saved stream state does not fit this model: {name} should be {expected}, is "
                    f"{got}; remove the saved state to start afresh"
                )
        self._grow(n)
        for name, column in self.columns.items():
            column[:n] = snapshot[name]
        whole = snapshot["key_bytes"].astype(np.uint8).tobytes()
        ends = np.cumsum(lengths)
        keys = [whole[end - size : end].decode() for end, size in zip(ends, lengths, strict=True)]
        self.keys = list(keys)
        self._rows = {key: row for row, key in enumerate(keys)}
        since, latest, tick = snapshot["clock"].astype(np.float64)
        self.known_since, self.watermark, self.tick = float(since), float(latest), int(tick)

    def _begins(self, name: str | None, time: float) -> bool:
        """Whether a stream that is not known begins with this event.

        Had it begun before, it would have been silent for as long as all streams are known.
        """
        silence = self._openings.get(name) if name else None
        return silence is not None and (silence == 0.0 or time - self.known_since > silence)

    def _open(self, key: str, *, joined: bool) -> int:
        if not self._free and len(self.keys) >= self.most:
            self._forget()
        if self._free:
            row = self._free.pop()
            self.keys[row] = key
        else:
            row = len(self.keys)
            self.keys.append(key)
            self._grow(row + 1)
        self._rows[key] = row
        for name, (_, shape, unused) in _COLUMNS.items():
            if RING not in shape:
                self.columns[name][row] = unused
        self.columns["ring"][row, 0] = PAST if joined else START
        self.columns["ring_time"][row, 0] = np.nan
        self.columns["length"][row] = 1
        self.columns["joined"][row] = joined
        # A fresh stream must not look like the longest silent before its first event is fed.
        self.columns["touched"][row] = self.tick
        return row

    def _forget(self) -> None:
        """Take back the rows of the eighth of the streams that have been silent longest."""
        touched = self.columns["touched"][: len(self.keys)]
        idle = np.flatnonzero(touched < self.tick)
        if not len(idle):
            raise InputError(
                f"one batch names more than the {self.most} streams that are kept; send smaller "
                "batches or allow more streams"
            )
        count = min(len(idle), max(1, len(self.keys) // 8))
        oldest = idle[np.argsort(touched[idle], kind="stable")[:count]]
        # One of them may come back, and would have been silent since.
        self.known_since = float(np.fmax(self.known_since, self.columns["last"][oldest].max()))
        for row in oldest.tolist():
            key = self.keys[row]
            if key is not None:
                del self._rows[key]
            self.keys[row] = None
            self.columns["ended"][row] = 1
            self.forgotten.append(row)
            self._free.append(row)

    def _grow(self, capacity: int) -> None:
        old = self.columns["length"].shape[0] if self.columns else 0
        if capacity <= old:
            return
        capacity = max(capacity, 2 * old)
        for name, (dtype, shape, _) in _COLUMNS.items():
            sizes = tuple(self._d_vocab if size == "d_vocab" else int(size) for size in shape)
            # Zeroed pages cost nothing until they are touched: rows not used yet are free.
            column: NDArray[Any] = np.zeros((capacity, *sizes), dtype)
            if old:
                column[:old] = self.columns[name]
            self.columns[name] = column
