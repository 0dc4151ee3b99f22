"""A prediction split exactly over the decoder's paths and the events that they read.

Along a zero-sum direction w over the vocabulary, u = W_U w, at the last known event q = e_t:

    z·w = base + (D[q] − D̄)·w + Σ_k Σ_s A_k[t, s] (T_k[e_s] − μ_k)·w + Σ_k A_k[t, sink] (0 − μ_k)·w

with D = W_E W_U the direct path, k over heads and virtual heads, A_k a path's pattern, T_k[e] what
it brings from event e, μ_k what it brings on average, and a bar for the mean over all last events;
base is what remains for an average event: biases, D̄·w and Σ_k μ_k·w. Every path is evaluated as a
d_head-vector times a reading vector, so no table over the vocabulary is formed. Centring inside
the pattern is exact because pattern and sink sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ..model.weights import Weights
from .activations import Activations, embedding_values
from .reference import Reference

Array = np.ndarray


@dataclass(frozen=True)
class Paths:
    """Contributions in nats, for each of several directions; together they are z·w."""

    names: tuple[str, ...]
    base: Float64[Array, " directions"]
    direct: Float64[Array, " directions"]  # the last event's row of W_E W_U, less the mean row
    evidence: Float64[Array, "directions paths sources"]
    resting: Float64[Array, "directions paths"]  # attention that went to no event

    def total(self) -> Float64[Array, " directions"]:
        """The sum of all contributions."""
        paths = self.resting + self.evidence.sum(axis=2)
        total: Array = self.base + self.direct + paths.sum(axis=1)
        return total


def expand(
    weights: Weights,
    activations: Activations,
    directions: Float64[Array, "directions d_vocab"],
    reference: Reference,
) -> Paths:
    """All paths into the last prediction of a run, along each direction."""
    last = int(activations.tokens[-1])
    u = directions @ weights.W_U.T
    read = reading_vectors(weights, u)
    mean = np.einsum("kpe,pe->kp", read, reference.mean.astype(np.float64))
    pattern, rest = path_patterns(weights, activations)
    value = _values(weights, activations, read)
    mean_embedding = reference.last @ weights.W_E
    return Paths(
        names=path_names(weights),
        base=directions @ weights.b_U
        + u @ (weights.b_O.sum(axis=0) + mean_embedding)
        + mean.sum(axis=1),
        direct=u @ (weights.W_E[last] - mean_embedding),
        evidence=pattern * (value - mean[:, :, None]),
        resting=-rest * mean,
    )


def path_names(weights: Weights) -> tuple[str, ...]:
    """L0H0 … L1H3, then the virtual heads L0H0→L1H0, L0H0→L1H1, …"""
    heads = range(weights.n_heads)
    names = [f"L{layer}H{head}" for layer in range(weights.n_layers) for head in heads]
    if weights.n_layers == 2:
        names += [f"L0H{first}→L1H{second}" for first in heads for second in heads]
    return tuple(names)


def reading_vectors(
    weights: Weights, u: Float64[Array, "directions d_model"]
) -> Float64[Array, "directions paths d_head"]:
    """What turns a path's d_head-vector into nats: W_O u, and W_O⁰ W_V¹ W_O¹ u if virtual."""
    read = [u @ W_O.swapaxes(1, 2) for W_O in weights.W_O]  # one a layer: head, direction, d_head
    if weights.n_layers == 2:
        second = read[1] @ weights.W_V[1].swapaxes(1, 2)  # head of layer 1, direction, d_model
        virtual = second[None] @ weights.W_O[0].swapaxes(1, 2)[:, None]
        read.append(virtual.reshape(-1, *virtual.shape[2:]))
    if not read:
        return np.zeros((len(u), 0, weights.d_head))
    return np.concatenate(read).swapaxes(0, 1)


def path_patterns(
    weights: Weights, activations: Activations
) -> tuple[Float64[Array, "paths sources"], Float64[Array, " paths"]]:
    """Each path's attention over the sources from the last position, and its share that rests.

    A virtual head's is A¹A⁰: it rests where the second head rests, or where the first did.
    """
    positions = len(activations.tokens)
    patterns = [layer.pattern[:, -1] for layer in activations.layers]
    rests = [layer.rest[:, -1] for layer in activations.layers]
    if weights.n_layers == 2:
        first, second = activations.layers[0], patterns[1]
        virtual = second[None] @ first.pattern
        rest = rests[1][None] + first.rest @ second.T
        patterns[1] = np.zeros((len(second), positions))
        patterns[1][:, positions - second.shape[1] :] = second
        patterns.append(virtual.reshape(-1, positions))
        rests.append(rest.reshape(-1))
    if not patterns:
        return np.zeros((0, positions)), np.zeros(0)
    return np.concatenate(patterns), np.concatenate(rests)


def _values(
    weights: Weights, activations: Activations, read: Float64[Array, "directions paths d_head"]
) -> Float64[Array, "directions paths sources"]:
    """What each path would bring from each source at full attention, in nats."""
    if not activations.layers:
        return np.zeros((len(read), 0, len(activations.tokens)))
    values, heads = [activations.layers[0].v], weights.n_heads
    if weights.n_layers == 2:
        values += [embedding_values(weights, activations), values[0]]
    # Of layer 0, of layer 1 and virtual, as the values are; one layer has the first kind only.
    kinds = np.split(read, [heads, 2 * heads], axis=1)
    brought = [
        (kind.reshape(len(read), heads, -1, weights.d_head) @ value.swapaxes(1, 2)).reshape(
            *kind.shape[:2], -1
        )
        for kind, value in zip(kinds, values, strict=False)
    ]
    return np.concatenate(brought, axis=1)
