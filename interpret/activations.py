"""The decoder run in float64 on one window of tokens, with everything inside it kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from numpy.lib.stride_tricks import sliding_window_view

from ..model.weights import Weights

Array = np.ndarray


@dataclass(frozen=True)
class Layer:
    """One attention layer at work, under TransformerLens's names.

    Destinations are the last of the sources, in a full run all of them. `pattern` over the sources
    and `rest`, the share of the sink, sum to one.
    """

    q: Float64[Array, "heads destinations d_head"]
    k: Float64[Array, "heads sources d_head"]
    v: Float64[Array, "heads sources d_head"]
    pattern: Float64[Array, "heads destinations sources"]
    rest: Float64[Array, "heads destinations"]
    z: Float64[Array, "heads destinations d_head"]
    attn_out: Float64[Array, "destinations d_model"]


@dataclass(frozen=True)
class Activations:
    """A run; a row of `logits` predicts the event after its token, the last row what comes next.

    Where a run is of the last prediction alone, rows are fewer but end at the same position: count
    them from the end.
    """

    tokens: Int[Array, " positions"]
    resid_pre: tuple[Float64[Array, "_ d_model"], ...]  # one a layer
    layers: tuple[Layer, ...]
    resid_post: Float64[Array, "predictions d_model"]
    logits: Float64[Array, "predictions d_vocab"]


def run(
    weights: Weights, tokens: Int[Array, " positions"], *, last_only: bool = False
) -> Activations:
    """All activations on `tokens`, or those that the last prediction depends on.

    `weights` in float64. The last layer then asks at one position, and the layer before it at the
    `window` positions that this one sees.
    """
    resid = weights.W_E[tokens]
    resid_pre, layers = [], []
    for index in range(weights.n_layers):
        layers_after = weights.n_layers - 1 - index
        asking = 1 + layers_after * (weights.window - 1) if last_only else len(tokens)
        layer = _attend(weights, index, resid, min(asking, len(resid)))
        resid_pre.append(resid)
        layers.append(layer)
        resid = resid[-asking:] + layer.attn_out
    logits = resid @ weights.W_U + weights.b_U
    return Activations(tokens, tuple(resid_pre), tuple(layers), resid, logits)


def logit_lens(
    weights: Weights, activations: Activations
) -> Float64[Array, "depths positions d_vocab"]:
    """x W_U + b_U for the residual stream x before each layer and after the last, of a full run."""
    depths = np.stack([*activations.resid_pre, activations.resid_post])
    return np.asarray(depths @ weights.W_U + weights.b_U)


def embedding_values(
    weights: Weights, activations: Activations
) -> Float64[Array, "heads positions d_head"]:
    """(W_E[e] + b_O⁰) W_V¹ + b_V¹: the part of layer 1's values that no layer-0 head wrote."""
    written = activations.resid_pre[0] + weights.b_O[0]
    return np.asarray(written @ weights.W_V[1] + weights.b_V[1][:, None])


def attention_scores(
    weights: Weights,
    index: int,
    q: Float64[Array, "heads destinations d_head"],
    k: Float64[Array, "heads sources d_head"],
) -> Float64[Array, "heads destinations sources"]:
    """q·k / √d_head + rho[t − s] in layer `index`, destinations being the last of the sources.

    −inf where a source is not visible: in the future, or `window` events back or further.
    """
    scores: Array = (q / np.sqrt(weights.d_head)) @ k.swapaxes(1, 2)
    scores += _by_distance(weights.rho[index], q.shape[1], k.shape[1])
    return scores


def _by_distance(
    rho: Float64[Array, "heads window"], destinations: int, sources: int
) -> Float64[Array, "heads {destinations} {sources}"]:
    """rho[t − s] for the last destinations t, −inf where s is not visible from t."""
    # A row is the one before it moved by one source: all are views of one line.
    line = np.full((len(rho), destinations + sources - 1), -np.inf)
    seen = min(rho.shape[1], sources)
    line[:, sources - seen : sources] = rho[:, :seen][:, ::-1]
    return sliding_window_view(line, sources, axis=1)[:, ::-1]


def _attend(
    weights: Weights, index: int, resid: Float64[Array, "sources d_model"], asking: int
) -> Layer:
    """The layer at its last `asking` positions."""
    q, k, v = (
        read @ W[index] + b[index][:, None]
        for read, W, b in (
            (resid[-asking:], weights.W_Q, weights.b_Q),
            (resid, weights.W_K, weights.b_K),
            (resid, weights.W_V, weights.b_V),
        )
    )
    return attend(weights, index, q, k, v)


def attend(
    weights: Weights,
    index: int,
    q: Float64[Array, "heads destinations d_head"],
    k: Float64[Array, "heads sources d_head"],
    v: Float64[Array, "heads sources d_head"],
) -> Layer:
    """Layer `index` at work on these queries, keys and values, wherever they come from."""
    # In place: fresh memory for all pairs of positions costs more than the sums in it (measured).
    pattern = attention_scores(weights, index, q, k)
    sink = weights.sink[index][:, None]
    top = np.maximum(pattern.max(axis=2), sink)
    pattern -= top[:, :, None]
    np.exp(pattern, out=pattern)
    rest = np.exp(sink - top)
    total = pattern.sum(axis=2) + rest
    pattern /= total[:, :, None]
    rest /= total
    z = pattern @ v
    attn_out = (z @ weights.W_O[index]).sum(axis=0) + weights.b_O[index]
    return Layer(q, k, v, pattern, rest, z, attn_out)
