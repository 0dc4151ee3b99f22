"""Which row the stream of each key has: a hash table whose look-ups need no interpreter.

A dictionary of Python visits four objects a key, one cache miss each, with the interpreter's lock
held. Here a key is its hash: SipHash with 64 bits and a secret of the process. Two of a million
streams have the same one with a probability of 3e-8, and count as one stream then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from .row_kernels import find_rows, put_rows, remove_rows

_LEAST = 1024  # slots


class Rows:
    """Open addressing with linear probing; a slot is a hash and a row plus one, 0 if it is free."""

    def __init__(self) -> None:
        self._slots = np.zeros((_LEAST, 2), np.int64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def find(self, keys: Sequence[str]) -> Int64[np.ndarray, " keys"]:
        """The row of each key, −1 where there is none."""
        rows = np.empty(len(keys), np.int64)
        find_rows(self._slots, _hashes(keys), rows)
        return rows

    def put(self, keys: Sequence[str], rows: Int64[np.ndarray, " keys"]) -> None:
        """Give keys that have no row one each."""
        self._n += len(keys)
        size = len(self._slots)
        while 2 * self._n > size:
            size *= 2
        if size > len(self._slots):
            larger = np.zeros((size, 2), np.int64)
            taken = self._slots[:, 1] > 0
            put_rows(larger, self._slots[taken, 0], self._slots[taken, 1] - 1)
            self._slots = larger
        put_rows(self._slots, _hashes(keys), rows)

    def remove(self, keys: Sequence[str]) -> None:
        """Take the rows of keys; one that has none is passed over."""
        self._n -= remove_rows(self._slots, _hashes(keys))


def _hashes(keys: Sequence[str]) -> Int64[np.ndarray, " keys"]:
    return np.fromiter(map(hash, keys), np.int64, len(keys))
