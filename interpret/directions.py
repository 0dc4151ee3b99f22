"""Zero-sum directions over the vocabulary: the questions that a split of the logits can answer.

For Σ_v w_v = 0 the contributions c_k·w of z = Σ_k c_k add up to z·w and do not change when a
component adds one number to all logits, which the softmax would not see. A single logit
does not have this property, and is never explained here. p is the softmax of z, y the observed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import PAST, START
from .softmax import log_sum_exp, take_softmax

Array = np.ndarray

SURE = 0.5  # probability from which one event alone is "what was expected"
NUCLEUS = 0.9  # else: the smallest set of events with this share of what was expected


@dataclass(frozen=True)
class Direction:
    """total = z·w + remainder; `against` are the events that the observed one is held against."""

    view: str  # "contrast" | "contrast set" | "own expectation" | "base rate"
    observed: int
    against: tuple[int, ...]
    w: Float64[Array, " d_vocab"]
    total: float
    remainder: float = 0.0

    def measure(self, logits: Float64[Array, "draws d_vocab"]) -> Float64[Array, " draws"]:
        """What `total` would be for other logits, the events compared staying the same.

        Of an own expectation these are all events, each by the probability that it had: S − H of
        the other logits would hold the observed event against what is expected there.
        """
        if self.view.startswith("contrast"):
            return np.asarray(log_sum_exp(logits[:, list(self.against)]) - logits[:, self.observed])
        if self.view == "base rate":
            return np.asarray(log_sum_exp(logits) - logits[:, self.observed])
        return np.asarray(logits @ self.w)


def headline(logits: Float64[Array, " d_vocab"], observed: int) -> Direction:
    """Against the one event that was expected; where none had half the probability, a set."""
    expected = ranked(logits, excluding=observed)[0]
    if softmax(logits)[expected] >= SURE:
        return contrast(logits, observed, int(expected))
    return contrast_set(logits, observed)


def contrast(logits: Float64[Array, " d_vocab"], observed: int, expected: int) -> Direction:
    """w = δ_expected − δ_y; z·w = log p(expected)/p(y), nothing approximated."""
    w = np.zeros(len(logits))
    w[expected] += 1.0
    w[observed] -= 1.0
    return Direction("contrast", observed, (expected,), w, float(logits @ w))


def contrast_set(
    logits: Float64[Array, " d_vocab"], observed: int, mass: float = NUCLEUS
) -> Direction:
    """w = p_F − δ_y; z·w + H(p_F) = log p(F)/p(y).

    F is the smallest set of other events with `mass` of the probability of all of them, p_F the
    prediction within it and H its entropy.
    """
    order = ranked(logits, excluding=observed)
    share = np.cumsum(softmax(logits[order]))
    against = order[: int(np.searchsorted(share, mass)) + 1]
    within = softmax(logits[against])
    w = np.zeros(len(logits))
    w[against] = within
    w[observed] -= 1.0
    remainder = float(entropy(logits[against]))
    total = float(log_sum_exp(logits[against]) - logits[observed])
    return Direction(
        "contrast set", observed, tuple(map(int, against)), w, total, remainder=remainder
    )


def own_expectation(logits: Float64[Array, " d_vocab"], observed: int) -> Direction:
    """w = p − δ_y; z·w = S − H = Σ_v p_v log(p_v / p_y), the surprisal beyond what the prediction
    itself expects: the log-odds of what was expected against what came, on average.
    """
    w = softmax(logits)
    w[observed] -= 1.0
    total = float(log_sum_exp(logits) - logits[observed] - entropy(logits))
    return Direction("own expectation", observed, (), w, total)


def base_rate(
    base: Float64[Array, " d_vocab"], logits: Float64[Array, " d_vocab"], observed: int
) -> Direction:
    """w = p̄ − δ_y, p̄ = ∫₀¹ softmax(b + α(z − b)) dα; S(y) = S_b(y) + (z − b)·w.

    With the log base rates for b: what y costs anywhere, and what the context adds to it.
    Aumann–Shapley in the space of contributions: one averaged prediction p̄ serves all of them.
    The integral is by Gauss–Legendre, its nodes doubled from 16 until the sum is complete to 1e-10.
    """
    surprise = float(log_sum_exp(logits) - logits[observed])
    base_surprise = float(log_sum_exp(base) - base[observed])
    step = logits - base
    for nodes in (16, 32, 64, 128, 256, 512):
        alpha, weights = _quadrature(nodes)
        w: Array = weights @ softmax(base + alpha[:, None] * step)
        w[observed] -= 1.0
        if abs(base_surprise + step @ w - surprise) <= 1e-10:
            break
    remainder = base_surprise - float(base @ w)
    return Direction("base rate", observed, (), w, surprise, remainder=remainder)


def ranked(logits: Float64[Array, " d_vocab"], *, excluding: int | None = None) -> Array:
    """Tokens that can come next, most probable first; a beginning cannot."""
    order = np.argsort(-logits, kind="stable")
    return np.asarray(order[(order != START) & (order != PAST) & (order != excluding)])


def largest(values: Float64[Array, "..."], n: int) -> Int[Array, " found"]:
    """Where the n largest lie in the flattened array, largest first, equal ones in their order."""
    flat = values.reshape(-1)
    least = np.partition(flat, -n)[-n] if n < len(flat) else -np.inf
    some = np.flatnonzero(flat >= least)
    return np.asarray(some[np.argsort(-flat[some], kind="stable")[:n]])


def softmax(logits: Float64[Array, "*batch d_vocab"]) -> Float64[Array, "*batch d_vocab"]:
    """exp(z) / Σ exp(z) over the last axis."""
    shares = logits.copy()
    take_softmax(shares)
    return shares


def entropy(logits: Float64[Array, "*batch d_vocab"]) -> Float64[Array, "*batch"]:
    """H = log Σ exp(z) − p·z in nats, over the last axis."""
    shares = logits.copy()
    lse = take_softmax(shares)
    return np.asarray(lse - (shares * logits).sum(axis=-1))


def surprisal(
    logits: Float64[Array, "positions d_vocab"], observed: Array
) -> Float64[Array, " positions"]:
    """S = log Σ exp(z) − z_y in nats, of each position's own observed event."""
    return np.asarray(log_sum_exp(logits) - logits[np.arange(len(logits)), observed])


@lru_cache
def _quadrature(nodes: int) -> tuple[Array, Array]:
    """Gauss–Legendre points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (points + 1.0) / 2.0, weights / 2.0
