"""What is usual: each path's mean output, given the last event too, and how often events follow.

An explanation subtracts the mean over all last events, so that evidence is what differs from what a
head brings on average; any mean gives an exact sum. The means given the last event are the card's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy.typing import NDArray

from ..model.reference import n_paths
from ..model.vocabulary import END
from ..model.weights import Weights
from .activations import Activations, embedding_values, run
from .contexts import Contexts, read_contexts

Array = np.ndarray

PSEUDO_COUNTS = 5.0  # weight of the mean over all last events in the mean given a rare one


@dataclass(frozen=True)
class Reference:
    """The usual, as a model folder keeps it.

    A path is a head of layer 0, a head of layer 1 reading embeddings, or a virtual head (a head of
    layer 0 read by one of layer 1), in the order of `paths.path_names`. Its output is kept as a
    d_head-vector before the W_O of the head that read the source.
    """

    means: Float[Array, "d_vocab paths d_head"]  # given the last event
    mean: Float[Array, "paths d_head"]  # over all last events
    last: Float64[Array, " d_vocab"]  # how often each token is the last event; sums to one
    outcomes: Int[Array, " d_vocab"]  # how often each token is the event predicted
    pairs: Int[Array, " pairs"]  # sorted: d_vocab · last event + next event
    pair_counts: Int[Array, " pairs"]
    contexts: Contexts

    def base_rates(self) -> Float64[Array, " d_vocab"]:
        """Each token's share among the events of training, none quite zero (half a count more)."""
        counts = self.outcomes + 0.5
        rates: Array = counts / counts.sum()
        return rates

    def last_count(self, token: int) -> int:
        """How often another event came after `token` in training."""
        d_vocab = len(self.outcomes)
        first, end = np.searchsorted(self.pairs, [token * d_vocab, (token + 1) * d_vocab])
        return int(self.pair_counts[first:end].sum())

    def support(self, last: int, following: int) -> int:
        """How often `following` came right after `last` in training."""
        key = last * len(self.outcomes) + following
        at = int(np.searchsorted(self.pairs, key))
        found = at < len(self.pairs) and self.pairs[at] == key
        return int(self.pair_counts[at]) if found else 0


def fit_reference(
    weights: Weights,
    sequences: Sequence[Int[Array, " _"]],
    times: Int[Array, " sequences"] | None = None,
    *,
    seed: int = 0,
    windows: int = 300,
    positions: int = 5_000,
) -> dict[str, Array]:
    """The reference arrays of a trained decoder.

    mean_k[q] = (Σ_{t: e_t = q} z_k[t] + 5 mean_k) / (n(q) + 5), with
    z_k[t] = Σ_s pattern_k[t, s] v_k[s].

    `sequences` are token ids as in training: each begins with <start> or <past>, and <end>, where
    it closes one, is only predicted. `times` says how often each came (once if left out). Means
    are taken over at most `windows` windows drawn at random, and no new one once `positions`
    positions are in; counts are over all sequences.
    """
    weights = weights.astype(np.float64)
    times = np.ones(len(sequences), dtype=np.int64) if times is None else times
    arrays = _counts(weights.d_vocab, sequences, times)
    paths = n_paths(weights.n_layers, weights.n_heads)
    sums = np.zeros((weights.d_vocab, paths, weights.d_head))
    seen = np.zeros(weights.d_vocab)
    for tokens, first in _windows(weights, sequences, times, seed, windows):
        outputs = path_outputs(weights, run(weights, tokens))[first:]
        np.add.at(sums, tokens[first:], outputs)
        np.add.at(seen, tokens[first:], 1.0)
        if seen.sum() >= positions:
            break
    mean = sums.sum(axis=0) / max(seen.sum(), 1.0)
    weight = seen[:, None, None]
    means = (sums + PSEUDO_COUNTS * mean) / (weight + PSEUDO_COUNTS)
    # Explanations add up whatever the means are, so their own rounding costs nothing.
    return {"means": means.astype(np.float32), "mean": mean.astype(np.float32), **arrays}


def read_reference(arrays: Mapping[str, NDArray[np.generic]], weights: Weights) -> Reference:
    """The reference in `arrays`; without one, biases for means: what heads bring from nothing."""
    if arrays:
        named = [name for name in Reference.__dataclass_fields__ if name != "contexts"]
        return Reference(**{n: arrays[n] for n in named}, contexts=read_contexts(arrays))
    mean = _bias_outputs(weights)
    d_vocab = weights.d_vocab
    return Reference(
        means=np.broadcast_to(mean, (d_vocab, *mean.shape)),
        mean=mean,
        last=np.full(d_vocab, 1.0 / d_vocab),
        outcomes=np.zeros(d_vocab, dtype=np.int64),
        pairs=np.zeros(0, dtype=np.int64),
        pair_counts=np.zeros(0, dtype=np.int64),
        contexts=read_contexts(arrays),
    )


def path_outputs(
    weights: Weights, activations: Activations
) -> Float64[Array, "positions paths d_head"]:
    """What each path has read at every position, before W_O."""
    if not activations.layers:
        return np.zeros((len(activations.tokens), 0, weights.d_head))
    first = activations.layers[0].z
    outputs = [first]
    if weights.n_layers == 2:
        pattern = activations.layers[1].pattern
        outputs.append(pattern @ embedding_values(weights, activations))
        virtual = pattern[None, :] @ first[:, None]  # head of layer 0, of layer 1, position, d_head
        outputs.append(virtual.reshape(-1, *virtual.shape[2:]))
    return np.concatenate(outputs).swapaxes(0, 1)


def _counts(
    d_vocab: int, sequences: Sequence[Int[Array, " _"]], times: Int[Array, " sequences"]
) -> dict[str, Array]:
    """How often each token is the last event, each the next one, and each pair of them."""
    last = np.zeros(d_vocab, dtype=np.int64)
    outcomes = np.zeros(d_vocab, dtype=np.int64)
    pairs = np.zeros(d_vocab * d_vocab, dtype=np.int64)
    if any(len(sequence) > 1 for sequence in sequences):
        before = np.concatenate([sequence[:-1] for sequence in sequences]).astype(np.int64)
        after = np.concatenate([sequence[1:] for sequence in sequences]).astype(np.int64)
        each = np.repeat(times, [max(len(sequence) - 1, 0) for sequence in sequences])
        # Sums of whole numbers, exact in float64 up to 2⁵³.
        last += np.bincount(before, each, d_vocab).astype(np.int64)
        outcomes += np.bincount(after, each, d_vocab).astype(np.int64)
        pairs += np.bincount(before * d_vocab + after, each, d_vocab * d_vocab).astype(np.int64)
    (keys,) = np.nonzero(pairs)
    return {
        "last": last / last.sum() if last.sum() else np.full(d_vocab, 1.0 / d_vocab),
        "outcomes": outcomes,
        "pairs": keys.astype(np.int64),
        "pair_counts": pairs[keys],
    }


def _windows(
    weights: Weights,
    sequences: Sequence[Int[Array, " _"]],
    times: Int[Array, " sequences"],
    seed: int,
    windows: int,
) -> list[tuple[Int[Array, " _"], int]]:
    """Windows drawn evenly over positions, each with its first position of full context."""
    usable = [s[:-1] if len(s) and s[-1] == END else s for s in map(np.asarray, sequences)]
    lengths = np.array([len(sequence) for sequence in usable], dtype=np.float64) * times
    if not lengths.sum():
        return []
    field = weights.n_layers * (weights.window - 1) + 1
    longest = field + weights.window
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(usable), size=windows, p=lengths / lengths.sum())
    drawn = []
    for sequence in (usable[index] for index in chosen):
        start = int(rng.integers(0, max(len(sequence) - longest, 0) + 1))
        drawn.append((sequence[start : start + longest], field - 1 if start else 0))
    return drawn


def _bias_outputs(weights: Weights) -> Float64[Array, "paths d_head"]:
    """What each path would bring from events whose embedding is zero, if its head never rested."""
    if weights.n_layers < 2:
        return weights.b_V.reshape(-1, weights.d_head)
    second = weights.b_O[0] @ weights.W_V[1] + weights.b_V[1]
    virtual = np.repeat(weights.b_V[0], weights.n_heads, axis=0)
    return np.concatenate([weights.b_V[0], second, virtual])
