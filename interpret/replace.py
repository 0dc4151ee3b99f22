"""The last prediction with another event in one place, without running the whole decoder again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.weights import Weights
from .activations import Activations, Layer, written
from .softmax import take_softmax

Array = np.ndarray

_HELD = 0.9  # attention to the replaced event from which on the others are summed up anew


@dataclass(frozen=True)
class _Merged:
    """Layer 0's z at the destinations that see the replaced event: kept · without + came · v.

    `without` is attention to all others, which no draw changes, and v each draw's own value.
    """

    kept: Float64[Array, "heads draws destinations"]
    without: Float64[Array, "heads destinations d_head"]
    came: Float64[Array, "heads draws destinations"]
    v: Float64[Array, "heads draws d_head"]

    def last(self) -> Float64[Array, "heads draws d_head"]:
        """z at the last destination."""
        others = self.kept[:, :, -1:] * self.without[:, -1:]
        return np.asarray(others + self.came[:, :, -1:] * self.v)


def replaced_logits(
    weights: Weights,
    activations: Activations,
    position: int,
    tokens: Int[Array, " draws"],
) -> Float64[Array, "draws d_vocab"]:
    """The last prediction with each of `tokens` at `position`.

    In layer 0 the other events' keys, values and mutual scores stay as they are, so that a draw's
    own key and value are merged into what was. Of layer 1 one destination is asked for: its heads'
    W_K and W_V are applied to that query, and to the sum over its sources, not to every source.
    """
    embedded, positions = weights.W_E[tokens], len(activations.tokens)
    if not weights.n_layers:
        own = np.repeat(activations.resid_post[-1:], len(tokens), axis=0)
        resid = embedded if position == positions - 1 else own
        return np.asarray(resid @ weights.W_U + weights.b_U)
    first = positions - 1 if weights.n_layers == 1 else max(0, positions - weights.window)
    # Who sees the replaced event, itself left out as it asks anew for each draw.
    seeing = slice(max(first, position + 1), min(positions, position + weights.window))
    merged = _merged(weights, activations, position, seeing, embedded)
    own = _own(weights, activations, position, embedded)
    if position == positions - 1:
        resid = own
    elif seeing.stop == positions:
        resid = activations.resid_pre[0][-1] + written(weights, 0, merged.last())
    else:
        after = (*activations.resid_pre, activations.resid_post)[1]
        resid = np.repeat(after[-1:], len(tokens), axis=0)
    if weights.n_layers == 2:
        resid = resid + _last_of_layer1(weights, activations, position, seeing, merged, own, resid)
    return np.asarray(resid @ weights.W_U + weights.b_U)


def _projected(
    W: Float64[Array, "heads d_model d_head"],
    b: Float64[Array, "heads d_head"],
    resid: Float64[Array, "draws d_model"],
) -> Float64[Array, "heads draws d_head"]:
    return np.asarray(resid @ W + b[:, None])


def _merged(
    weights: Weights,
    activations: Activations,
    position: int,
    seeing: slice,
    embedded: Float64[Array, "draws d_model"],
) -> _Merged:
    """Layer 0 at the destinations `seeing`, with each draw's key and value at `position`."""
    layer, scale = activations.layers[0], np.sqrt(weights.d_head)
    k, v = (
        _projected(weights.W_K[0], weights.b_K[0], embedded),
        _projected(weights.W_V[0], weights.b_V[0], embedded),
    )
    # A run of the last prediction alone has the last destinations only.
    ahead = len(activations.tokens) - layer.q.shape[1]
    rows = slice(seeing.start - ahead, max(seeing.start, seeing.stop) - ahead)
    q, held = layer.q[:, rows], layer.pattern[:, rows, position]
    # What went to the replaced event is taken away …
    fewer = np.minimum(held, _HELD)[..., None]
    without = (layer.z[:, rows] - fewer * layer.v[:, position, None]) / (1.0 - fewer)
    lse = layer.lse[:, rows] + np.log1p(-fewer[..., 0])
    lost = np.flatnonzero((held > _HELD).any(axis=0))
    if len(lost):  # … or, where that would leave rounding errors, the others are summed up
        without[:, lost], lse[:, lost] = _without(weights, layer, position, rows.start + lost)
    distance = np.arange(seeing.start, seeing.start + q.shape[1]) - position
    score = k @ q.swapaxes(1, 2) / scale + weights.rho[0][:, None, distance]
    # 1 / (1 + exp(lse − score)), less a half
    more = np.tanh((score - lse[:, None]) / 2.0) / 2.0
    return _Merged(0.5 - more, without, 0.5 + more, v)


def _without(
    weights: Weights, layer: Layer, position: int, rows: Int[Array, " lost"]
) -> tuple[Float64[Array, "heads lost d_head"], Float64[Array, "heads lost"]]:
    """Layer 0's z and log Σ exp(score) at some destinations that cannot see `position`."""
    sources = np.arange(layer.k.shape[1])
    distance = rows[:, None] + layer.k.shape[1] - layer.q.shape[1] - sources
    sees = (distance >= 0) & (distance < weights.window) & (sources != position)
    scores = layer.q[:, rows] @ layer.k.swapaxes(1, 2) / np.sqrt(weights.d_head)
    scores += weights.rho[0][:, np.where(sees, distance, 0)]
    scores[:, ~sees] = -np.inf
    lse = take_softmax(scores, weights.sink[0][:, None])
    return scores @ layer.v, lse


def _own(
    weights: Weights,
    activations: Activations,
    position: int,
    embedded: Float64[Array, "draws d_model"],
) -> Float64[Array, "draws d_model"]:
    """The residual stream after layer 0 at the replaced event itself."""
    layer = activations.layers[0]
    past = slice(max(0, position - weights.window + 1), position)
    q, k, v = (
        _projected(W[0], b[0], embedded)
        for W, b in (
            (weights.W_Q, weights.b_Q),
            (weights.W_K, weights.b_K),
            (weights.W_V, weights.b_V),
        )
    )
    before = q @ layer.k[:, past].swapaxes(1, 2)
    shares = np.concatenate([before, (q * k).sum(axis=2, keepdims=True)], axis=2)
    shares /= np.sqrt(weights.d_head)
    shares += weights.rho[0][:, None, position - past.start :: -1]
    take_softmax(shares, weights.sink[0][:, None])
    z = shares[..., :-1] @ layer.v[:, past] + shares[..., -1:] * v
    return np.asarray(embedded + written(weights, 0, z))


def _last_of_layer1(
    weights: Weights,
    activations: Activations,
    position: int,
    seeing: slice,
    merged: _Merged,
    own: Float64[Array, "draws d_model"],
    resid: Float64[Array, "draws d_model"],
) -> Float64[Array, "draws d_model"]:
    """What layer 1 writes at the last position, whose own residual stream is `resid`.

    A source's is `fixed` + Σ_h z_h W_O_h at the destinations `seeing`, `own` at the replaced one,
    and elsewhere what it was.
    """
    positions, heads = len(activations.tokens), weights.n_heads
    first = max(0, positions - weights.window)
    fixed = activations.resid_pre[1][first - positions :].copy()
    rows = slice(seeing.start - first, max(seeing.start, seeing.stop) - first)
    embedded = activations.resid_pre[0][first:]
    fixed[rows] = embedded[rows] + weights.b_O[0]

    # Scores: a query is taken back through W_K to the stream, and through W_O to layer 0's z.
    W_O = weights.W_O[0].reshape(-1, weights.d_model)
    q = _projected(weights.W_Q[1], weights.b_Q[1], resid) / np.sqrt(weights.d_head)
    asked = q @ weights.W_K[1].swapaxes(1, 2)  # of heads of layer 1
    scores = _apply(asked, fixed.T)
    scores += weights.rho[1][:, None, len(fixed) - 1 :: -1]
    scores += q @ weights.b_K[1][..., None]
    read = _apply(asked, W_O.T).reshape(*q.shape[:2], heads, -1)
    own_values = (read * merged.v.swapaxes(0, 1)).sum(axis=3, keepdims=True)
    for head in range(heads):  # of layer 0
        brought = _apply(read[:, :, head], merged.without[head].T)
        brought *= merged.kept[head]
        brought += merged.came[head] * own_values[:, :, head]
        scores[:, :, rows] += brought
    here = position - first
    if here >= 0:
        scores[:, :, here] += (asked * (own - fixed[here])).sum(axis=2)

    # Values: the same the other way round.
    take_softmax(scores, weights.sink[1][:, None])
    shares, z = scores, np.empty_like(read)
    for head in range(heads):
        kept = shares[:, :, rows] * merged.kept[head]
        came = (shares[:, :, rows] * merged.came[head]).sum(axis=2, keepdims=True)
        z[:, :, head] = _apply(kept, merged.without[head]) + came * merged.v[head]
    seen = _apply(shares, fixed) + _apply(z.reshape(*q.shape[:2], -1), W_O)
    if here >= 0:
        seen += shares[:, :, here, None] * (own - fixed[here])
    values = seen @ weights.W_V[1]
    values += shares.sum(axis=2, keepdims=True) * weights.b_V[1][:, None]
    return written(weights, 1, values)


def _apply(
    stacked: Float64[Array, "heads draws n"], matrix: Float64[Array, "n m"]
) -> Float64[Array, "heads draws m"]:
    """As one product of matrices: NumPy would take the stack's one by one, and these are small."""
    heads, draws, n = stacked.shape
    return np.asarray(
        (stacked.reshape(heads * draws, n) @ matrix).reshape(heads, draws, matrix.shape[1])
    )
