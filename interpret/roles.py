"""What each head does, by where it looks: on repeating events, and on real windows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import PAST, SPECIAL
from ..model.weights import Weights
from .activations import Activations, run

Array = np.ndarray

ROLES = ("previous", "duplicate", "induction", "itself", "beginning", "rest")
_CLEAR = 0.4  # share of what a head does not rest, from which on a role names it
_RESTING = 0.98  # attention to nothing from which on it does nothing else


def role_masks(
    tokens: Int[Array, " positions"],
) -> dict[str, Float64[Array, "positions positions"]]:
    """1 where a head of a role would look, [position that looks, position looked at].

    previous: one back; duplicate: the same event earlier; induction: what came right after the
    same event earlier; itself: its own position; beginning: the first token.
    """
    at = np.arange(len(tokens))
    earlier = at[:, None] > at
    same = earlier & (tokens[:, None] == tokens)
    after = np.zeros_like(same)
    after[:, 1:] = same[:, :-1]
    beginning = np.zeros_like(same)
    beginning[1:, 0] = True
    masks = {
        "previous": at[:, None] - at == 1,
        "duplicate": same,
        "induction": after & ~np.eye(len(tokens), dtype=bool),
        "itself": np.eye(len(tokens), dtype=bool),
        "beginning": beginning,
    }
    return {name: mask.astype(float) for name, mask in masks.items()}


def role_scores(
    weights: Weights, windows: Sequence[Int[Array, " _"]]
) -> tuple[Float64[Array, "heads roles"], Float64[Array, "heads roles"]]:
    """Mean attention of each head to where a head of each role would look, and to nothing.

    Over the positions that could: an event that comes for the first time has no duplicate. nan
    where no position could. Beside it the share of what the head did not rest on these positions.
    Heads of layer 0 first; `weights` in float64.
    """
    heads = weights.n_layers * weights.n_heads
    return role_scores_of((run(weights, window) for window in windows), heads)


def role_scores_of(
    runs: Iterable[Activations], heads: int
) -> tuple[Float64[Array, "heads roles"], Float64[Array, "heads roles"]]:
    """`role_scores` of what has been run already; `heads` are those of all layers."""
    sums = np.zeros((heads, len(ROLES)))
    awake = np.zeros((heads, len(ROLES)))
    could = np.zeros(len(ROLES))
    for activations in runs:
        layers = activations.layers
        if not layers:
            break
        pattern = np.concatenate([layer.pattern for layer in layers])
        for index, mask in enumerate(role_masks(activations.tokens).values()):
            rows = mask.any(axis=1)
            sums[:, index] += (pattern * mask).sum(axis=2)[:, rows].sum(axis=1)
            awake[:, index] += pattern[:, rows].sum(axis=(1, 2))
            could[index] += rows.sum()
        sums[:, -1] += np.concatenate([layer.rest for layer in layers]).sum(axis=1)
        awake[:, -1] += len(activations.tokens)
        could[-1] += len(activations.tokens)
    unknown = np.full_like(sums, np.nan)
    mean = np.divide(sums, could, out=unknown.copy(), where=could > 0.0)
    return mean, np.divide(sums, awake, out=unknown, where=awake > 0.0)


def by_role(scores: Float64[Array, " roles"]) -> dict[str, float | None]:
    """A head's scores by the names of the roles; None where no position could show one."""
    return {
        name: None if math.isnan(score) else score
        for name, score in zip(ROLES, scores.tolist(), strict=True)
    }


def repeating(windows: Sequence[Int[Array, " _"]]) -> Int[Array, " kinds"]:
    """The events that come again within a real window."""
    again = [np.unique(window, return_counts=True) for window in windows]
    kinds = np.unique(np.concatenate([[], *(k[n > 1] for k, n in again)]).astype(np.int64))
    return kinds[kinds >= len(SPECIAL)]


def repeated_windows(
    kinds: Int[Array, " kinds"], longest: int, *, seed: int = 0, draws: int = 16
) -> list[Int[Array, " _"]]:
    """<past>, then random events, then the same ones again: each window holds every event twice.

    `kinds` are those that really come again, as a head may know no others: on random events of the
    whole vocabulary an induction head can look dead.
    """
    size = min(len(kinds), (longest - 1) // 2)
    if size < 2:
        return []
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(kinds, size=size, replace=False) for _ in range(draws)]
    return [np.concatenate([[PAST], events, events]) for events in drawn]


def role(mean: Float64[Array, " roles"], shares: Float64[Array, " roles"]) -> str:
    """The role that most of a head's attention has where it does not rest, else "mixed".

    `mean` and `shares` are those of one head from `role_scores`. Resting is what heads do that find
    nothing: it is a role only of those that do nothing else.
    """
    if mean[-1] >= _RESTING:
        return ROLES[-1]
    awake = np.nan_to_num(shares[:-1])
    best = int(np.argmax(awake))
    return ROLES[best] if awake[best] >= _CLEAR else "mixed"
