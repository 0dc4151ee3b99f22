"""The decoder run in float64 on one window of tokens, with everything inside it kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.weights import Weights

Array = np.ndarray


@dataclass(frozen=True)
class Layer:
    """One attention layer at work, under TransformerLens's names.

    `pattern` over the sources and `rest`, the share of the sink, sum to one. A score is −inf where
    a source is not visible: in the future, or `window` events back or further.
    """

    q: Float64[Array, "heads positions d_head"]
    k: Float64[Array, "heads positions d_head"]
    v: Float64[Array, "heads positions d_head"]
    scores: Float64[Array, "heads destinations sources"]
    pattern: Float64[Array, "heads destinations sources"]
    rest: Float64[Array, "heads destinations"]
    z: Float64[Array, "heads destinations d_head"]
    attn_out: Float64[Array, "positions d_model"]


@dataclass(frozen=True)
class Activations:
    """A whole run; row t of `logits` predicts the event after `tokens[t]`."""

    tokens: Int[Array, " positions"]
    resid_pre: tuple[Float64[Array, "positions d_model"], ...]  # one a layer
    layers: tuple[Layer, ...]
    resid_post: Float64[Array, "positions d_model"]
    logits: Float64[Array, "positions d_vocab"]


def run(weights: Weights, tokens: Int[Array, " positions"]) -> Activations:
    """All activations on `tokens`; `weights` in float64."""
    resid = weights.W_E[tokens]
    resid_pre, layers = [], []
    for index in range(weights.n_layers):
        layer = _attend(weights, index, resid)
        resid_pre.append(resid)
        layers.append(layer)
        resid = resid + layer.attn_out
    logits = resid @ weights.W_U + weights.b_U
    return Activations(tokens, tuple(resid_pre), tuple(layers), resid, logits)


def embedding_values(
    weights: Weights, activations: Activations
) -> Float64[Array, "heads positions d_head"]:
    """(W_E[e] + b_O⁰) W_V¹ + b_V¹: the part of layer 1's values that no layer-0 head wrote."""
    written = activations.resid_pre[0] + weights.b_O[0]
    return np.asarray(written @ weights.W_V[1] + weights.b_V[1][:, None])


def _attend(weights: Weights, index: int, resid: Float64[Array, "positions d_model"]) -> Layer:
    q, k, v = (
        resid @ W[index] + b[index][:, None]
        for W, b in (
            (weights.W_Q, weights.b_Q),
            (weights.W_K, weights.b_K),
            (weights.W_V, weights.b_V),
        )
    )
    positions = np.arange(len(resid))
    distance = positions[:, None] - positions
    visible = (distance >= 0) & (distance < weights.window)
    bias = weights.rho[index][:, np.where(visible, distance, 0)]
    scores = np.where(visible, q @ k.swapaxes(1, 2) / np.sqrt(weights.d_head) + bias, -np.inf)
    sink = weights.sink[index][:, None]
    top = np.maximum(scores.max(axis=2), sink)
    pattern = np.exp(scores - top[:, :, None])
    rest = np.exp(sink - top)
    total = pattern.sum(axis=2) + rest
    pattern, rest = pattern / total[:, :, None], rest / total
    z = pattern @ v
    attn_out = (z @ weights.W_O[index]).sum(axis=0) + weights.b_O[index]
    return Layer(q, k, v, scores, pattern, rest, z, attn_out)
