"""The decoder run in float64 on one window of tokens, with everything inside it kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from numpy.lib.stride_tricks import as_strided

from ..model.weights import Weights
from .softmax import take_softmax

Array = np.ndarray

_TOGETHER = 32  # destinations


@dataclass(frozen=True)
class Layer:
    """One attention layer at work, under TransformerLens's names.

    Destinations are the last of the sources, in a full run all of them. `pattern` over the sources
    and `rest`, the share of the sink, sum to one; `lse` is log Σ exp(score), the sink's included.
    """

    q: Float64[Array, "heads destinations d_head"]
    k: Float64[Array, "heads sources d_head"]
    v: Float64[Array, "heads sources d_head"]
    pattern: Float64[Array, "heads destinations sources"]
    rest: Float64[Array, "heads destinations"]
    lse: Float64[Array, "heads destinations"]
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
    return _run(weights, tokens, (), 1 if last_only else len(tokens))


def rerun(weights: Weights, before: Activations, position: int, token: int) -> Activations:
    """A run of the last prediction alone like `before`, with another event at `position`.

    Layer 0 asks again where it sees that event, and nowhere else. The run is on no more tokens than
    the prediction depends on.
    """
    tokens = before.tokens.copy()
    tokens[position] = token
    if not before.layers:
        return run(weights, tokens, last_only=True)
    was = before.layers[0]
    first = Layer(*(getattr(was, name).copy() for name in Layer.__dataclass_fields__))
    q, k, v = _projected(weights, 0, weights.W_E[tokens[[position]]], 1)
    ahead = len(tokens) - was.q.shape[1]
    if position >= ahead:
        first.q[:, [position - ahead]] = q
    first.k[:, [position]], first.v[:, [position]] = k, v
    end = min(len(tokens), position + weights.window)
    _ask(weights, 0, first, slice(max(0, position - ahead), end - ahead))
    return _run(weights, tokens, (first,), 1)


def _run(
    weights: Weights, tokens: Int[Array, " positions"], known: Sequence[Layer], predictions: int
) -> Activations:
    """The last predictions, after layers that are known already."""
    resid = weights.W_E[tokens]
    resid_pre, layers = [], []
    for index in range(weights.n_layers):
        asking = min(_asking(weights, index, predictions), len(resid))
        layer = (
            known[index]
            if index < len(known)
            else attend(weights, index, *_projected(weights, index, resid, asking))
        )
        resid_pre.append(resid)
        layers.append(layer)
        resid = resid[-asking:] + layer.attn_out
    logits = resid @ weights.W_U + weights.b_U
    return Activations(tokens, tuple(resid_pre), tuple(layers), resid, logits)


def ending(weights: Weights, full: Activations, end: int) -> Activations:
    """What the prediction after the first `end` tokens of a full run rests on.

    The same as a run of that prediction alone, as far back as it reaches: nothing is run again.
    """
    reach = weights.n_layers * (weights.window - 1) + 1
    first = seen = max(0, end - reach)
    resid_pre, layers = [], []
    for index, (resid, layer) in enumerate(zip(full.resid_pre, full.layers, strict=True)):
        asked = max(seen, end - _asking(weights, index, 1))
        resid_pre.append(resid[seen:end])
        layers.append(
            Layer(
                q=layer.q[:, asked:end],
                k=layer.k[:, seen:end],
                v=layer.v[:, seen:end],
                pattern=layer.pattern[:, asked:end, seen:end],
                rest=layer.rest[:, asked:end],
                lse=layer.lse[:, asked:end],
                z=layer.z[:, asked:end],
                attn_out=layer.attn_out[asked:end],
            )
        )
        seen = asked
    last = slice(end - 1, end)
    return Activations(
        full.tokens[first:end],
        tuple(resid_pre),
        tuple(layers),
        full.resid_post[last],
        full.logits[last],
    )


def _asking(weights: Weights, index: int, predictions: int) -> int:
    """At how many of the last positions a layer asks, so that the last ones can be predicted."""
    return predictions + (weights.n_layers - 1 - index) * (weights.window - 1)


def predict(
    weights: Weights, tokens: Int[Array, " positions"], first: int = 0
) -> Float64[Array, "predictions d_vocab"]:
    """The logits after each of tokens[first:]: the end of a full run's, and nothing inside kept."""
    resid = weights.W_E[tokens]
    for index in range(weights.n_layers):
        asking = min(_asking(weights, index, len(tokens) - first), len(resid))
        resid = resid[-asking:] + _attn_out(weights, index, resid, asking)
    return np.asarray(resid[first - len(tokens) :] @ weights.W_U + weights.b_U)


def predict_all(weights: Weights, last: Activations) -> Float64[Array, "positions d_vocab"]:
    """The logits of a full run, where a run of the last prediction alone is at hand."""
    resid = weights.W_E[last.tokens]
    for index, known in enumerate([*last.resid_pre, last.resid_post][1:]):
        earlier = resid[: len(resid) - len(known)]
        if len(earlier):
            earlier = earlier + _attn_out(weights, index, earlier, len(earlier))
        resid = np.concatenate([earlier, known])
    logits: Array = resid @ weights.W_U
    logits += weights.b_U  # in place: fresh memory for so many takes longer than to add them
    return logits


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
    head, step = line.strides
    first = line[:, destinations - 1 :]
    return as_strided(first, (len(rho), destinations, sources), (head, -step, step))


def _projected(
    weights: Weights, index: int, resid: Float64[Array, "sources d_model"], asking: int
) -> tuple[Array, Array, Array]:
    """Queries of the last `asking` positions, and keys and values of all."""
    q, k, v = (
        read @ W[index] + b[index][:, None]
        for read, W, b in (
            (resid[-asking:], weights.W_Q, weights.b_Q),
            (resid, weights.W_K, weights.b_K),
            (resid, weights.W_V, weights.b_V),
        )
    )
    return q, k, v


def attend(
    weights: Weights,
    index: int,
    q: Float64[Array, "heads destinations d_head"],
    k: Float64[Array, "heads sources d_head"],
    v: Float64[Array, "heads sources d_head"],
) -> Layer:
    """Layer `index` at work on these queries, keys and values, wherever they come from."""
    heads, destinations, sources = len(q), q.shape[1], k.shape[1]
    pattern = np.zeros((heads, destinations, sources))
    rest, lse = np.empty((2, heads, destinations))
    attn_out = np.empty((destinations, weights.d_model))
    layer = Layer(q, k, v, pattern, rest, lse, np.empty_like(q), attn_out)
    _ask(weights, index, layer, slice(0, destinations))
    return layer


def _ask(weights: Weights, index: int, layer: Layer, asking: slice) -> None:
    """Write into a layer what its queries `asking` find among its keys and values."""
    q, k = layer.q[:, asking], layer.k[:, : layer.k.shape[1] - layer.q.shape[1] + asking.stop]
    for some, seen, shares, rest, lse in _patterns(weights, index, q, k):
        rows = slice(asking.start + some.start, asking.start + some.stop)
        layer.pattern[:, rows, seen] = shares
        layer.rest[:, rows], layer.lse[:, rows] = rest, lse
        layer.z[:, rows] = shares @ layer.v[:, seen]
    layer.attn_out[asking] = written(weights, index, layer.z[:, asking])


def _attn_out(
    weights: Weights, index: int, resid: Float64[Array, "sources d_model"], asking: int
) -> Float64[Array, "{asking} d_model"]:
    """What the layer adds to the residual stream at its last `asking` positions."""
    q, k, v = _projected(weights, index, resid, asking)
    z = np.empty_like(q)
    for some, seen, shares, *_ in _patterns(weights, index, q, k):
        z[:, some] = shares @ v[:, seen]
    return written(weights, index, z)


def _patterns(
    weights: Weights,
    index: int,
    q: Float64[Array, "heads destinations d_head"],
    k: Float64[Array, "heads sources d_head"],
) -> Iterator[tuple[slice, slice, Array, Array, Array]]:
    """Some destinations, the sources that they may see, their pattern, rest and lse.

    Not all at once: most sources of others are out of their sight, and what fits into the cache
    is made twice as fast as what does not (measured).
    """
    ahead, sink = k.shape[1] - q.shape[1], weights.sink[index][:, None]
    scaled = q / np.sqrt(weights.d_head)
    most = min(_TOGETHER, q.shape[1])
    bias = _by_distance(weights.rho[index], most, min(most + weights.window - 1, k.shape[1]))
    for first in range(0, q.shape[1], _TOGETHER):
        asking = slice(first, min(first + _TOGETHER, q.shape[1]))
        seen = slice(max(0, ahead + first + 1 - weights.window), ahead + asking.stop)
        shares = scaled[:, asking] @ k[:, seen].swapaxes(1, 2)
        _, destinations, sources = shares.shape
        shares += bias[:, -destinations:, -sources:]
        lse = take_softmax(shares, sink)
        yield asking, seen, shares, np.exp(sink - lse), lse


def written(
    weights: Weights, index: int, z: Float64[Array, "heads destinations d_head"]
) -> Float64[Array, "destinations d_model"]:
    """What the layer adds to the residual stream."""
    heads_side_by_side = z.swapaxes(0, 1).reshape(z.shape[1], -1)
    W_O = weights.W_O[index].reshape(-1, weights.d_model)
    return np.asarray(heads_side_by_side @ W_O + weights.b_O[index])
