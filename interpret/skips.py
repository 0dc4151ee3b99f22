"""Skip-trigrams, "k … q → v": what an earlier event makes of what follows, and who taught it.

A head that looks at k from q moves the logit of v by its attention times its OV circuit, for all
q alike: so a model can hold rules that its training never showed. Those are called phantoms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy.typing import NDArray

from ..model.vocabulary import PAST, START
from ..model.weights import Weights
from .circuits import Circuit, ov_circuits
from .directions import SURE
from .reference import Reference, read_reference
from .sample import Attention, Sample, observe, read_windows

Array = np.ndarray

KEPT = 512  # of the strongest, and of the likely ones, whose support a model folder keeps
DOUBLED = math.log(2.0)  # the odds: one bit
_PAIRS = 1_000  # pairs k … q of a path that are followed up
_PER_PATH = 256


@dataclass(frozen=True)
class SkipTrigrams:
    """k … q → v, the one with the most effect on the windows first."""

    triples: Int[Array, "triples 3"]  # k, q, v
    effect: Float64[Array, " triples"]  # Σ_p Ā_p[q, k] T̃_p[k, v], nats of v's logit
    paths: Float64[Array, "triples paths"]  # the same by path

    def __getitem__(self, chosen: slice | Bool[Array, " triples"]) -> SkipTrigrams:
        return SkipTrigrams(self.triples[chosen], self.effect[chosen], self.paths[chosen])


def skip_trigrams(
    weights: Weights, reference: Reference, sample: Sample, most: int
) -> SkipTrigrams:
    """The triples with the largest n(k … q) |Σ_p Ā_p[q, k] T̃_p[k, v]|.

    Ā is the mean attention from q to k where k is there, T̃ the centred OV circuit, n how often q
    came with k before it in the windows. v is an event that has followed q in training: what never
    follows is held down by the direct path, whatever a head says. A beginning is no event.
    """
    attention, d_vocab = sample.attention, weights.d_vocab
    circuits = [circuit.centred(reference.last) for circuit in ov_circuits(weights)]
    begins = np.isin(attention.seen, (START, PAST)) | np.isin(attention.looking, (START, PAST))
    found = [np.zeros((0, 3), dtype=np.int64)]
    for path, circuit in enumerate(circuits):
        mass = np.where(begins, 0.0, attention.times * attention.mean[path])
        reach = np.linalg.norm(circuit.left, axis=1)[attention.seen]
        pairs = _largest(mass * reach, _PAIRS)
        pairs = pairs[mass[pairs] > 0.0]
        triples, source = _followed(reference, attention, pairs)
        work = mass[source] * np.abs(moved(circuit, triples))
        found.append(triples[_largest(work, _PER_PATH)])
    triples = np.unique(np.concatenate(found), axis=0)
    return _by_effect(circuits, attention, triples, d_vocab)[:most]


def likely_trigrams(weights: Weights, reference: Reference, sample: Sample) -> SkipTrigrams:
    """The triples in which the model gives v at least half of the probability, mean over windows.

    Of those only the ones that the paths from k make so: Σ_p Ā_p[q, k] T̃_p[k, v] ≥ log 2.
    """
    circuits = [circuit.centred(reference.last) for circuit in ov_circuits(weights)]
    seen = _seen_before(sample, weights)
    seen[:, [START, PAST]] = 0.0
    found = [np.zeros((0, 3), dtype=np.int64)]
    for q in np.setdiff1d(sample.last, (START, PAST)).tolist():
        rows = sample.last == q
        kinds = np.flatnonzero(seen[rows].any(axis=0))
        there = seen[rows][:, kinds]
        predicted = (there.T @ sample.predicted[rows]) / there.sum(axis=0)[:, None]
        sure = predicted.max(axis=1, initial=0.0) >= SURE
        v = predicted[sure].argmax(axis=1)
        found.append(np.stack([kinds[sure], np.full(len(v), q), v], axis=1))
    triples = np.concatenate(found)
    likely = _by_effect(circuits, sample.attention, triples, weights.d_vocab)
    return likely[likely.effect >= DOUBLED]


def _by_effect(
    circuits: Sequence[Circuit],
    attention: Attention,
    triples: Int[Array, "triples 3"],
    d_vocab: int,
) -> SkipTrigrams:
    """The triples with their effects, the one with the most effect on the windows first."""
    k, q, _ = triples.T
    keys = attention.looking * d_vocab + attention.seen
    at = np.searchsorted(keys, q * d_vocab + k)
    paths = np.zeros((len(triples), len(circuits)))
    for path, circuit in enumerate(circuits):
        paths[:, path] = attention.mean[path, at] * moved(circuit, triples)
    effect = paths.sum(axis=1)
    order = np.argsort(-np.abs(attention.times[at] * effect), kind="stable")
    return SkipTrigrams(triples[order], effect[order], paths[order])


def _seen_before(sample: Sample, weights: Weights) -> Float64[Array, "rows d_vocab"]:
    """1 where an event lies fewer than `window` events before the last one."""
    seen = []
    for window in sample.windows:
        distance = np.arange(len(window) - 1)[:, None] - np.arange(len(window) - 1)
        visible = (distance > 0) & (distance < weights.window)
        one_hot = (window[:-1, None] == np.arange(weights.d_vocab)).astype(float)
        seen.append(((visible @ one_hot) > 0.0).astype(float))
    return np.concatenate(seen)


def moved(circuit: Circuit, triples: Int[Array, "triples 3"]) -> Float64[Array, " triples"]:
    """T[k, v] of each (k, q, v)."""
    k, _, v = triples.T
    return np.asarray((circuit.left[k] * circuit.right.T[v]).sum(axis=1))


def _largest(values: Float64[Array, " n"], most: int) -> Int[Array, " some"]:
    """Indexes of the largest values, in no order: sorting them all would take most of the time."""
    if len(values) <= most:
        return np.arange(len(values))
    return np.asarray(np.argpartition(-values, most)[:most])


def _followed(
    reference: Reference, attention: Attention, pairs: Int[Array, " pairs"]
) -> tuple[Int[Array, "triples 3"], Int[Array, " triples"]]:
    """(k, q, v) for each of these pairs q, k and each v that has followed q; and the pair of each.

    In the reference the pairs q, v lie sorted by q.
    """
    d_vocab = len(reference.outcomes)
    looking = attention.looking[pairs]
    first, end = (np.searchsorted(reference.pairs, (looking + i) * d_vocab) for i in (0, 1))
    source = np.repeat(pairs, end - first)
    within = np.arange(len(source)) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
    v = reference.pairs[np.repeat(first, end - first) + within] % d_vocab
    return np.stack([attention.seen[source], attention.looking[source], v], axis=1), source


def expected(sample: Sample, triple: tuple[int, int, int]) -> float:
    """The probability of v after q with k somewhere before, mean over the windows; 0 if nowhere."""
    k, q, v = triple
    rows = [
        start + at
        for start, window in zip(sample.starts.tolist(), sample.windows, strict=True)
        for at in np.flatnonzero(window[:-1] == q).tolist()
        if k in window[:at]
    ]
    return float(sample.predicted[rows, v].mean()) if rows else 0.0


def fit_skips(
    weights: Weights,
    arrays: Mapping[str, NDArray[np.generic]],
    sequences: Sequence[Int[Array, " _"]],
    times: Int[Array, " sequences"] | None = None,
) -> dict[str, Array]:
    """The skip-trigrams of a trained decoder that a card may list, with their support.

    `arrays` is its reference with the windows kept, `sequences` what it was trained on, and
    `times` how often each came (once if left out).
    """
    weights = weights.astype(np.float64)
    sample = observe(weights, read_windows(arrays))
    reference = read_reference(arrays, weights)
    strongest = skip_trigrams(weights, reference, sample, KEPT).triples
    likely = likely_trigrams(weights, reference, sample).triples[:KEPT]
    triples = np.unique(np.concatenate([strongest, likely]), axis=0)
    times = np.ones(len(sequences), dtype=np.int64) if times is None else times
    counts = support(sequences, times, triples, weights.window)
    return {"skips": triples, "skip_counts": counts}


def support(
    sequences: Sequence[Int[Array, " _"]],
    times: Int[Array, " sequences"],
    triples: Int[Array, "triples 3"],
    window: int,
) -> Int[Array, "triples 2"]:
    """For each (k, q, v): how often v came right after q with k before it, and how often anything.

    Before: fewer than `window` events before q, in the same sequence, q itself not counted. Each
    sequence came so many `times`.
    """
    counts = np.zeros((len(triples), 2), dtype=np.int64)
    usable = [index for index, sequence in enumerate(sequences) if len(sequence) > 1]
    if not usable or not len(triples):
        return counts
    tokens = np.concatenate([sequences[index] for index in usable]).astype(np.int64)
    lengths = np.array([len(sequences[index]) for index in usable])
    each = np.repeat(times[usable], lengths)
    ends = np.cumsum(lengths)
    start = np.repeat(ends - lengths, lengths)
    has_next = np.ones(len(tokens), dtype=bool)
    has_next[ends - 1] = False
    by_token = np.argsort(tokens, kind="stable")
    firsts = np.searchsorted(tokens[by_token], np.arange(triples.max() + 2))
    for row, (k, q, v) in enumerate(triples.tolist()):
        looked_at, at = (by_token[firsts[token] : firsts[token + 1]] for token in (k, q))
        if not len(looked_at):
            continue
        before = np.searchsorted(looked_at, at) - 1  # the last k before each q
        nearest = looked_at[np.maximum(before, 0)]
        there = (before >= 0) & (nearest >= start[at]) & (at - nearest < window) & has_next[at]
        at = at[there]
        counts[row] = (each[at[tokens[at + 1] == v]].sum(), each[at].sum())
    return counts
