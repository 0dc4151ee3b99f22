"""Which streams make room where there are too many: those of who has most, the longest silent."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt32


def claim(
    senders: UInt32[np.ndarray, " streams"],
    rows: Int64[np.ndarray, " events"],
    sender: UInt32[np.ndarray, " events"] | int,
) -> None:
    """Streams in `rows` that are of sender 0, nobody, are of who sends their events."""
    known = senders[rows]
    senders[rows] = np.where(known == 0, sender, known)


def outlived(
    touched: Int64[np.ndarray, " streams"], senders: UInt32[np.ndarray, " streams"], count: int
) -> Int64[np.ndarray, " evicted"]:
    """f(i) = |{j : senders_j = senders_i, touched_j ≥ touched_i}|; the `count` of highest f.

    f is how many streams of its sender's have been silent for no longer, itself included; of two of
    one moment the first has the other before it. Of equal f those go that were touched earliest. So
    nobody loses a stream to who has more.
    """
    by_age = np.argsort(touched, kind="stable")
    order = by_age[np.argsort(senders[by_age], kind="stable")]
    _, sizes = np.unique(senders[order], return_counts=True)
    f = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(order))
    if count < len(f):  # only what may be among them is put in order
        may = np.flatnonzero(f >= np.partition(f, len(f) - count)[len(f) - count])
        order, f = order[may], f[may]
    return np.asarray(order[np.lexsort((touched[order], -f))[:count]], dtype=np.int64)
