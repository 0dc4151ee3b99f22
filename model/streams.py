"""The state of many streams in columns: one row a stream, grown by doubling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import N_DETECTORS, RING

_COLUMNS: dict[str, tuple[type, tuple[str | int, ...], float]] = {
    # name: (dtype, shape of a row, value of an unused row)
    "ring": (np.int32, (RING,), 0),  # token ids, position modulo RING
    "ring_time": (np.float64, (RING,), np.nan),
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
}


class Streams:
    """Columns named as `_COLUMNS` says; rows are given out and taken back by the detector."""

    def __init__(self, d_vocab: int, capacity: int = 64) -> None:
        self._d_vocab = d_vocab
        self.columns: dict[str, NDArray[Any]] = {
            name: self._empty(name, capacity) for name in _COLUMNS
        }

    @property
    def capacity(self) -> int:
        return int(self.columns["length"].shape[0])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def state(self) -> tuple[NDArray[Any], ...]:
        """All columns in the kernels' order."""
        return tuple(self.columns.values())

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` rows."""
        if capacity <= self.capacity:
            return
        capacity = max(capacity, 2 * self.capacity)
        for name, old in self.columns.items():
            new = self._empty(name, capacity)
            new[: old.shape[0]] = old
            self.columns[name] = new

    def begin(self, row: int, token: int, joined: bool) -> None:
        """Make `row` a fresh stream that starts with `token`."""
        for name, (_, _, unused) in _COLUMNS.items():
            if name not in ("ring", "ring_time"):
                self.columns[name][row] = unused
        self.columns["ring"][row, 0] = token
        self.columns["ring_time"][row, 0] = np.nan
        self.columns["length"][row] = 1
        self.columns["joined"][row] = joined

    def _empty(self, name: str, capacity: int) -> NDArray[Any]:
        dtype, shape, unused = _COLUMNS[name]
        sizes = tuple(self._d_vocab if size == "d_vocab" else int(size) for size in shape)
        # Zeroed pages cost nothing until they are touched; a million unused rows stay unpaid.
        array: NDArray[Any] = np.zeros((capacity, *sizes), dtype)
        if unused != 0 and name != "ring_time":
            array[:] = unused
        return array
