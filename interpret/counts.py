"""What the counts of a finished stream are far from, split over event names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from ..model.kernels import count_directions
from .explanation import CountShare

Array = np.ndarray


def split_counts(
    counts: Float64[Array, " d_vocab"],
    vectors: Float64[Array, "vectors d_vocab"],
    names: Sequence[str],
) -> tuple[float, tuple[CountShare, ...]]:
    """1 − u·v = Σ_i ½ (u_i − v_i)², u the direction of the counts, v the nearest normal's.

    The parts, largest first, are those of the events that one of both has.
    """
    (u,) = count_directions(counts[None, :])
    directions = count_directions(vectors)
    nearest = int(np.argmax(directions @ u))
    v = directions[nearest]
    shares = (u - v) ** 2 / 2.0
    expected = _scaled(vectors[nearest], counts)
    listed = [
        CountShare(
            event=names[token],
            count=int(counts[token]),
            expected=float(expected[token]),
            value=float(shares[token]),
        )
        for token in np.argsort(-shares, kind="stable").tolist()
        if counts[token] or v[token]
    ]
    return 1.0 - float(u @ v), tuple(listed)


def _scaled(
    normal: Float64[Array, " d_vocab"], counts: Float64[Array, " d_vocab"]
) -> Float64[Array, " d_vocab"]:
    """The normal stream's counts at this stream's size: the whole multiple that differs least."""
    present = normal > 0.0
    ratios = counts[present] / normal[present]
    sizes = np.maximum(1.0, np.concatenate([np.floor(ratios), np.ceil(ratios)]))
    # The sum of absolute differences is convex and bends only at the ratios.
    difference = np.abs(sizes[:, None] * normal - counts).sum(axis=1)
    return np.asarray(sizes[np.argmin(difference)] * normal)
