"""Checks of a claim by intervention: another event in the evidence's place, scored again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import PAST, SPECIAL, START
from ..model.weights import Weights
from .activations import Activations, attention_scores
from .directions import Direction
from .reference import Reference

Array = np.ndarray

DRAWS = 16


@dataclass(frozen=True)
class Check:
    """What happened to the total when other events stood in the evidence's place.

    `verdict`: "confirmed", the total moved as claimed by more than two standard errors; "weak", as
    claimed, but by less; "failed", the other way.
    """

    draws: int
    effect: float  # total as it was − mean of the totals after replacement, nats
    standard_error: float
    verdict: str


def check(
    weights: Weights,
    activations: Activations,
    position: int,
    direction: Direction,
    value: float,
    reference: Reference,
) -> Check:
    """Whether the event at `position` makes the difference `value` that was claimed for it."""
    tokens = replacements(int(activations.tokens[position]), reference)
    logits = replaced_logits(weights, activations, position, tokens)
    effects = direction.total - direction.measure(logits)
    effect = float(effects.mean())
    error = float(effects.std() / np.sqrt(len(effects) - 1)) if len(effects) > 1 else 0.0
    if effect * value <= 0.0:
        return Check(len(tokens), effect, error, "failed")
    confirmed = abs(effect) > 2.0 * error
    return Check(len(tokens), effect, error, "confirmed" if confirmed else "weak")


def replacements(token: int, reference: Reference) -> Int[Array, " draws"]:
    """Typical events other than `token`: evenly spaced quantiles of how often each is read.

    The spread of such draws is at most that of random ones, so their standard error is on the safe
    side, and nothing is left to chance. A stream's beginning is replaced by the other kind.
    """
    if token in (START, PAST):
        return np.array([PAST if token == START else START])
    weight = reference.last.copy()
    weight[[START, PAST, token]] = 0.0
    if not weight.sum():  # nothing else was ever read
        weight[len(SPECIAL) - 1 :] = 1.0
        weight[token] = 0.0
    if not weight.sum():
        return np.array([PAST])
    order = np.argsort(-weight, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    return np.asarray(order[np.searchsorted(share, (np.arange(DRAWS) + 0.5) / DRAWS)])


def cancels(first: float, virtual: float) -> bool:
    """Whether what layer 0 wrote about an event is undone, by over 80 %, by heads that read it."""
    return first * virtual < 0.0 and abs(first + virtual) < 0.2 * (abs(first) + abs(virtual))


def replaced_logits(
    weights: Weights,
    activations: Activations,
    position: int,
    tokens: Int[Array, " draws"],
) -> Float64[Array, "draws d_vocab"]:
    """The last prediction with each of `tokens` at `position`.

    In layer 0 the other events' keys, values and mutual scores stay as they are: attention without
    the replaced event is taken once, and each draw's own key is merged into it.
    """
    embedded, positions = weights.W_E[tokens], len(activations.tokens)
    if not weights.n_layers:
        own = np.repeat(activations.resid_post[-1:], len(tokens), axis=0)
        resid = embedded if position == positions - 1 else own
        return np.asarray(resid @ weights.W_U + weights.b_U)
    first = positions - 1 if weights.n_layers == 1 else max(0, positions - weights.window)
    z = _replaced_layer0(weights, activations, first, position, embedded)
    resid = np.repeat(activations.resid_pre[0][None, first:], len(tokens), axis=0)
    if position >= first:
        resid[:, position - first] = embedded
    together = z.swapaxes(1, 2).reshape(*resid.shape[:2], -1)  # all heads' d_head side by side
    resid = resid + together @ weights.W_O[0].reshape(-1, weights.d_model) + weights.b_O[0]
    if weights.n_layers == 2:
        resid[:, -1] += _last_of_layer1(weights, resid)
    return np.asarray(resid[:, -1] @ weights.W_U + weights.b_U)


def _replaced_layer0(
    weights: Weights,
    activations: Activations,
    first: int,
    position: int,
    embedded: Float64[Array, "draws d_model"],
) -> Float64[Array, "draws heads destinations d_head"]:
    """Layer 0's z at the positions from `first` on, for each draw."""
    layer, scale = activations.layers[0], np.sqrt(weights.d_head)
    rho, sink = weights.rho[0], weights.sink[0][:, None]
    q, k, v = (
        (embedded @ W[0]).swapaxes(0, 1) + b[0]
        for W, b in (
            (weights.W_Q, weights.b_Q),
            (weights.W_K, weights.b_K),
            (weights.W_V, weights.b_V),
        )
    )  # draws, heads, d_head

    # Attention of every destination without the replaced event: it never changes.
    positions = len(activations.tokens)
    asking = slice(first - positions, None)
    scores = attention_scores(weights, 0, layer.q[:, asking], layer.k)
    scores[:, :, position] = -np.inf
    own = position - first
    if own >= 0:  # its own row asks anew for each draw
        past = slice(max(0, position - weights.window + 1), position)
        asked = np.einsum("nhe,hse->nhs", q, layer.k[:, past]) / scale
        asked = asked + rho[:, position - np.arange(past.start, past.stop)]
    top, without, mass = _merge_ready(scores, sink, layer.v)

    # The replaced event's key and value come in.
    distance = np.arange(first, positions) - position
    sees = (distance >= 0) & (distance < weights.window)
    bias = rho[:, np.where(sees, distance, 0)]
    score = np.einsum("hpe,nhe->nhp", layer.q[:, asking], k) / scale + bias
    score = np.where(sees, score, -np.inf)
    if own >= 0:
        score[:, :, own] = np.einsum("nhe,nhe->nh", q, k) / scale + rho[:, 0]
    top, without, mass = (np.repeat(a[None], len(embedded), axis=0) for a in (top, without, mass))
    if own >= 0:
        top[:, :, own], without[:, :, own], mass[:, :, own] = _merge_ready(
            asked, weights.sink[0][None], layer.v[None, :, past]
        )
    highest = np.maximum(top, score)
    kept, came = np.exp(top - highest), np.exp(score - highest)
    z: Array = kept[..., None] * without + came[..., None] * v[:, :, None]
    z /= (kept * mass + came)[..., None]
    return z


def _merge_ready(
    scores: Float64[Array, "*batch sources"],
    sink: Float64[Array, "*#batch"],
    v: Float64[Array, "... d_head"],
) -> tuple[Array, Array, Array]:
    """Highest score, and the sums of values and of weights relative to it, the sink included."""
    top = np.maximum(scores.max(axis=-1, initial=-np.inf), sink)
    weight = scores - top[..., None]
    np.exp(weight, out=weight)
    shared = v.ndim == weight.ndim  # all destinations read the same values
    values = weight @ v if shared else (weight[..., None, :] @ v)[..., 0, :]
    return top, values, weight.sum(axis=-1) + np.exp(sink - top)


def _last_of_layer1(
    weights: Weights, resid: Float64[Array, "draws positions d_model"]
) -> Float64[Array, "draws d_model"]:
    """What layer 1 writes at the last position; the positions are its window."""
    q = np.einsum("nd,hde->nhe", resid[:, -1], weights.W_Q[1]) + weights.b_Q[1]
    k, v = (
        resid[:, None] @ W[1] + b[1][:, None]
        for W, b in ((weights.W_K, weights.b_K), (weights.W_V, weights.b_V))
    )  # draws, heads, positions, d_head
    distance = np.arange(resid.shape[1])[::-1]
    scores = (k @ q[..., None])[..., 0] / np.sqrt(weights.d_head) + weights.rho[1][:, distance]
    _, values, mass = _merge_ready(scores, weights.sink[1][None], v)
    z = values / mass[..., None]
    return np.asarray(np.einsum("nhe,hed->nd", z, weights.W_O[1]) + weights.b_O[1])
