"""Look-ups in the table of rows, compiled by Numba; rows.py says what it is."""

from __future__ import annotations

from .kernels import _jit
from .simd import prefetch

_AHEAD = 8  # keys between asking for a slot and looking at it


@_jit
def find_rows(slots, hashes, rows):
    """Write the row of each hash, −1 where there is none."""
    mask = slots.shape[0] - 1
    for i in range(hashes.shape[0]):
        if i + _AHEAD < hashes.shape[0]:
            prefetch(slots, 2 * (hashes[i + _AHEAD] & mask), 0)
        at = hashes[i] & mask
        while slots[at, 1] != 0 and slots[at, 0] != hashes[i]:
            at = (at + 1) & mask
        rows[i] = slots[at, 1] - 1


@_jit
def put_rows(slots, hashes, rows):
    """Give hashes that are not there a row each; there must be room."""
    mask = slots.shape[0] - 1
    for i in range(hashes.shape[0]):
        at = hashes[i] & mask
        while slots[at, 1] != 0:
            at = (at + 1) & mask
        slots[at, 0] = hashes[i]
        slots[at, 1] = rows[i] + 1


@_jit
def remove_rows(slots, hashes):
    """Free the slots of hashes, and move up those behind that had found them taken.

    Returns how many there were.
    """
    mask, n = slots.shape[0] - 1, 0
    for i in range(hashes.shape[0]):
        at = hashes[i] & mask
        while slots[at, 1] != 0 and slots[at, 0] != hashes[i]:
            at = (at + 1) & mask
        if slots[at, 1] == 0:  # it is not there
            continue
        behind = (at + 1) & mask
        while slots[behind, 1] != 0:
            if (behind - slots[behind, 0]) & mask >= (behind - at) & mask:
                slots[at, 0] = slots[behind, 0]
                slots[at, 1] = slots[behind, 1]
                at = behind
            behind = (behind + 1) & mask
        slots[at, 0] = 0
        slots[at, 1] = 0
        n += 1
    return n
