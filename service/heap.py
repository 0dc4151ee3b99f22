"""The heap of this process: what is freed in one piece goes back to the system at once."""

from __future__ import annotations

import ctypes

_LARGE = 1 << 20  # bytes: the tables of a model, not the arrays of a batch
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def return_freed() -> None:
    """Have large blocks mapped one by one, so that each is given back when it is freed.

    glibc does so, too, until the first of them is freed: from then on blocks of that size come out
    of a heap, which keeps them. A model that was served before would stay in memory.
    """
    # Other libraries than glibc have other ways, or none.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)  # twice the other, as glibc would have it
