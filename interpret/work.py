"""What each path is worth: the loss without it on held-out windows, and where it matters most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ..model.weights import Weights
from .directions import softmax, surprisal
from .paths import path_names, reading_vectors
from .reference import Reference
from .sample import Sample

Array = np.ndarray


@dataclass(frozen=True)
class Work:
    """One path's share of the work, in nats per event."""

    name: str
    loss: float  # by how much the loss rises where the path brings only what is usual
    effect: float  # mean |Δ|: how far it moves the surprise beyond what is usual, to either side


def share_of_work(weights: Weights, reference: Reference, sample: Sample) -> list[Work]:
    """Each path replaced by its mean given the last event; direct by the average event.

    z′ = z − (z_k − μ_k[q]) R_k, with R_k what turns the path's output into logits; direct:
    z′ = z − (W_E[q] − W̄_E) W_U. Only what a path writes to the logits is replaced: what later heads
    make of layer 0 is in the virtual heads.
    """
    mean_embedding = reference.last @ weights.W_E
    base = float(surprisal(sample.logits, sample.following).mean())
    works = []
    for name, brought in _brought(weights, reference, sample):
        left = sample.logits - brought
        works.append(_work(name, sample, left, brought, base))
    brought = (weights.W_E[sample.last] - mean_embedding) @ weights.W_U
    works.append(_work("direct", sample, sample.logits - brought, brought, base))
    return sorted(works, key=lambda work: -work.loss)


def _work(
    name: str,
    sample: Sample,
    left: Float64[Array, "rows d_vocab"],
    brought: Float64[Array, "rows d_vocab"],
    base: float,
) -> Work:
    loss = float(surprisal(left, sample.following).mean()) - base
    return Work(name, loss, float(np.abs(_along(sample, brought)).mean()))


def _along(sample: Sample, brought: Float64[Array, "rows d_vocab"]) -> Float64[Array, " rows"]:
    """Contribution to z_y − p·z: how much a path speaks for what followed."""
    following = brought[np.arange(len(brought)), sample.following]
    return np.asarray(following - (sample.predicted * brought).sum(axis=1))


def _brought(
    weights: Weights, reference: Reference, sample: Sample, *, by_reading: bool = False
) -> Iterator[tuple[str, Float64[Array, "rows d_vocab"]]]:
    """What each path adds to the logits of every row, less its mean given the last event.

    `by_reading` leaves out what follows from its resting, −A_k[t, sink] μ_k[q].
    """
    names = path_names(weights)
    if not names:
        return
    read = reading_vectors(weights, weights.W_U.T)  # d_vocab, paths, d_head
    for path, name in enumerate(names):
        usual = reference.means[:, path].astype(np.float64)[sample.last]
        if by_reading:
            usual = usual * (1.0 - sample.rest[:, path, None])
        yield name, (sample.outputs[:, path] - usual) @ read[:, path].T


@dataclass(frozen=True)
class Moment:
    """A prediction of a path's: what came before it, and what followed."""

    path: str
    gain: float  # nats by which it spoke for what followed
    window: int
    row: int  # position of the last event in the window


@dataclass(frozen=True)
class Moments:
    """Predictions of one path: those it helped most, and one at each quantile of its gains."""

    top: list[Moment]
    at: list[tuple[float, Moment]]  # share of all predictions that it helped less, and one there


def notable_moments(
    weights: Weights,
    reference: Reference,
    sample: Sample,
    *,
    most: int,
    quantiles: Sequence[float],
) -> dict[str, Moments]:
    """For every path the predictions it spoke for most, each of another last and next event, and
    one at each quantile of how far it spoke for what followed.

    What counts is what it read: that a head rests speaks for an outcome too, but shows nothing.
    """
    found = {}
    for name, brought in _brought(weights, reference, sample, by_reading=True):
        gain = _along(sample, brought)
        order = np.argsort(-gain, kind="stable")
        top: list[Moment] = []
        told: set[tuple[int, int]] = set()
        for row in order.tolist():
            rule = (int(sample.last[row]), int(sample.following[row]))
            if gain[row] <= 0.0 or len(top) == most:
                break
            if rule not in told:
                told.add(rule)
                top.append(_moment(sample, name, row, float(gain[row])))
        last = len(order) - 1
        places = dict.fromkeys(round((1.0 - quantile) * last) for quantile in quantiles)
        at = [
            (1.0 - place / last, _moment(sample, name, row, float(gain[row])))
            for place, row in zip(places, order[list(places)].tolist(), strict=True)
            if last
        ]
        found[name] = Moments(top, at)
    return found


def _moment(sample: Sample, path: str, row: int, gain: float) -> Moment:
    window = int(np.searchsorted(sample.starts, row, side="right")) - 1
    return Moment(path, gain, window, row - int(sample.starts[window]))


def bigrams(
    weights: Weights, reference: Reference
) -> tuple[
    Float64[Array, "d_vocab d_vocab"],
    Float64[Array, "d_vocab d_vocab"],
    Float64[Array, "d_vocab d_vocab"],
]:
    """Probability of the next event given the last: direct path, with usual heads, and counted.

    softmax(b_U + D[q]); softmax(b_U + b_O W_U + D[q] + Σ_k μ_k[q] R_k), the prediction in a usual
    context; and n(q, v) / n(q), zero where q was never followed.
    """
    direct = weights.W_E @ weights.W_U + weights.b_U
    usual = direct + weights.b_O.sum(axis=0) @ weights.W_U
    if weights.n_layers:
        read = reading_vectors(weights, weights.W_U.T)
        means = reference.means.astype(np.float64)
        usual = usual + means.reshape(len(means), -1) @ read.reshape(len(read), -1).T
    d_vocab = weights.d_vocab
    counts = np.zeros((d_vocab, d_vocab))
    counts.flat[reference.pairs] = reference.pair_counts
    counted = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return softmax(direct), softmax(usual), counted


def missed(
    counted: Float64[Array, "d_vocab d_vocab"],
    predicted: Float64[Array, "d_vocab d_vocab"],
    weight: Float64[Array, " d_vocab"],
) -> float:
    """Σ_q weight[q] Σ_v n log(n / p): nats per event by which a table misses what was counted."""
    there = counted > 0.0
    ratio = np.zeros_like(counted)
    ratio[there] = np.log(counted[there] / np.maximum(predicted[there], 1e-300))
    return float(weight @ (counted * ratio).sum(axis=1))
