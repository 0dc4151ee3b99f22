"""One path of a decoder damped, by the change of its weights with the least effect on all else.

Every change here is of rank one, M += τ x yᵀ: x reads from what M is given the event that is meant,
y writes what is to change. Both are found by `least_reading`; τ makes the entry exactly what it is
to be, as a card shows it, and attention what it is to be on the held-out windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int

from ..model.errors import InputError
from ..model.vocabulary import END, PAST, START
from ..model.weights import Weights
from .activations import Activations, run
from .circuits import Circuit, direct_path, ov_circuits, residuals
from .directions import softmax
from .reference import Reference
from .softmax import take_softmax

Array = np.ndarray

_RIDGE = 1e-6  # of the mean square: keeps a reading short where nothing else decides
_DULL = 1e-2  # what a sure prediction counts, beside p (1 − p) of one that is not
_LEAST = 0.01  # nats: an entry below says nothing
_UNCLEAN = 0.5  # root mean square elsewhere, beside the effect that is meant, up to which is told
_GLANCE = 0.01  # of attention that is removed, as a softmax leaves no event without any
_FURTHEST = 60.0  # nats by which a score is lowered at the most
_HALVINGS = 50
_CLOSE = 1e-3  # share of the attention that is wanted


@dataclass(frozen=True)
class Ground:
    """What an edit is fitted to: the decoder at work on held-out windows, a row a position.

    Each event by itself is one more row that counts half, as windows may lack it.
    """

    weights: Weights  # float64
    reference: Reference
    tokens: Int[Array, " rows"]
    times: Float64[Array, " rows"]  # that a row counts
    resid: tuple[Float64[Array, "rows d_model"], ...]  # what each layer reads, and W_U
    z: tuple[Float64[Array, "heads d_head"], ...]  # what heads bring on average, one a layer
    runs: tuple[Activations, ...]  # of the windows

    def others(
        self, layer: int, event: int, alone: Float64[Array, " d_model"]
    ) -> Float64[Array, "rows d_model"]:
        """What the layer reads, less what it reads of `event` by itself."""
        return np.asarray(self.resid[layer] - (self.tokens == event)[:, None] * alone)

    def mean(self, values: Float64[Array, " rows"]) -> float:
        """Over all rows, each as often as it counts."""
        return float(self.times @ values / self.times.sum())


def ground(weights: Weights, reference: Reference, windows: Sequence[Int[Array, " _"]]) -> Ground:
    """Run the decoder, whose `weights` are in float64, on windows that end with what followed."""
    runs: list[Activations] = [run(weights, window[:-1]) for window in windows]
    tokens = np.concatenate([each.tokens for each in runs])
    alone = [*residuals(weights), weights.W_E]
    seen = [
        np.concatenate([(*each.resid_pre, each.resid_post)[layer] for each in runs])
        for layer in range(weights.n_layers + 1)
    ]
    return Ground(
        weights,
        reference,
        np.concatenate([tokens, np.arange(weights.d_vocab)]),
        np.concatenate([np.ones(len(tokens)), np.full(weights.d_vocab, 0.5)]),
        tuple(np.concatenate(both) for both in zip(seen, alone, strict=True)),
        tuple(
            np.concatenate([each.layers[layer].z for each in runs], axis=1).mean(axis=1)
            for layer in range(weights.n_layers)
        ),
        tuple(runs),
    )


def least_reading(
    target: Float64[Array, " size"],
    others: Float64[Array, "others size"],
    weight: Float64[Array, " others"],
) -> Float64[Array, " size"]:
    """x = G⁻¹ t / (t G⁻¹ t), with G = Σ_i w_i o_i o_iᵀ + ε: x·t = 1 and the least Σ_i w_i (x·o_i)².

    Where the others leave a direction free that the target has, x reads nothing of them.
    """
    gram = (others.T * weight) @ others
    size = len(target)
    gram += _RIDGE * max(float(np.trace(gram)) / size, 1e-12) * np.eye(size)
    x = np.linalg.solve(gram, target)
    return np.asarray(x / (target @ x))


def damp_head(ground: Ground, layer: int, head: int, by: float) -> Weights:
    """W_O ← (1 − by) W_O, b_O ← b_O + by z̄ W_O: what the head writes on average stays.

    So what is lost is what it says of one context rather than another, and no base rate moves.
    """
    w = ground.weights
    W_O, b_O = w.W_O.copy(), w.b_O.copy()
    b_O[layer] += by * ground.z[layer][head] @ W_O[layer, head]
    W_O[layer, head] *= 1.0 - by
    return replace(w, W_O=W_O, b_O=b_O)


def damp_bigram(ground: Ground, last: int, following: int, by: float) -> Weights:
    """W_U[:, following] += τ x: x·resid is 1 after `last`, and 0 elsewhere as nearly as can be.

    W_E stays, as every head reads it: where heads look, and what they bring for all other events,
    does not change. Rows count by p (1 − p) of the next event: what is sure hardly moves.
    InputError if the last event cannot be told apart from what heads write.
    """
    w = ground.weights
    _possible(last, following)
    entry = _entry(direct_path(w), ground.reference, last, following)
    _says_something("the direct path", entry)
    others = ground.others(w.n_layers, last, w.W_E[last])
    p = softmax(ground.resid[-1] @ w.W_U + w.b_U)[:, following]
    x = least_reading(w.W_E[last], others, ground.times * (p * (1.0 - p) + _DULL))
    _told_apart(ground.mean((others @ x) ** 2), "the head that matters with --head or --rule")

    def changed(size: float) -> Weights:
        W_U = w.W_U.copy()
        W_U[:, following] += size * x
        return replace(w, W_U=W_U)

    step = _entry(direct_path(changed(1.0)), ground.reference, last, following) - entry
    return changed(-by * entry / step)


def damp_rule(
    ground: Ground, layer: int, head: int, earlier: int, following: int, by: float
) -> Weights:
    """W_V += τ₁ x aᵀ, W_O += τ₂ b yᵀ, so that T̃[earlier, following] is (1 − by) of what it was.

    A head writes to few dimensions, so one entry cannot change alone. Through W_V the other
    outcomes of this earlier event move with it, through W_O what other events say of this outcome:
    x and b read the event, a and y write the outcome, each with the least mean square of the rest,
    and the two share the work so that together they have the least, C₂ : C₁ for costs C₁ and C₂.
    """
    w, path = ground.weights, layer * ground.weights.n_heads + head
    _possible(earlier, following)

    def entry(weights: Weights) -> float:
        return _entry(ov_circuits(weights)[path], ground.reference, earlier, following)

    wanted = -by * entry(w)
    _says_something(f"L{layer}H{head}", entry(w))
    alone = residuals(w)[layer][earlier]
    others = ground.others(layer, earlier, alone)
    values = (ground.resid[layer] @ w.W_V[layer, head]) + w.b_V[layer, head]
    value = alone @ w.W_V[layer, head] + w.b_V[layer, head]
    values -= (ground.tokens == earlier)[:, None] * value
    rates = ground.reference.base_rates()
    x = least_reading(alone, others, ground.times)
    b = least_reading(value, values, ground.times)
    ends = _ends(w, layer)
    a, a_cost = _least_writing(w.W_O[layer, head] @ ends, rates, following)
    y, y_cost = _least_writing(ends, rates, following)
    share = ground.mean((ground.tokens == earlier).astype(float))
    meant = share * rates[following]
    first = (share + ground.mean((others @ x) ** 2)) * a_cost - meant
    second = (share + ground.mean((values @ b) ** 2)) * y_cost - meant
    through = second / (first + second) if first + second > 0.0 else 0.5

    def read(size: float) -> Weights:
        W_V = w.W_V.copy()
        W_V[layer, head] += size * np.outer(x, a)
        return replace(w, W_V=W_V)

    edited = read(through * wanted / (entry(read(1.0)) - entry(w)))

    def written(size: float) -> Weights:
        W_O = w.W_O.copy()
        W_O[layer, head] += size * np.outer(b, y)
        return replace(edited, W_O=W_O)

    left = wanted - (entry(edited) - entry(w))
    return written(left / (entry(written(1.0)) - entry(edited)))


def damp_skip(
    ground: Ground, layer: int, head: int, earlier: int, last: int, following: int, by: float
) -> Weights:
    """W_Q += τ x aᵀ, so that asking at `last` the head gives `earlier` (1 − by) of its attention.

    What it brings of the earlier event it brings after every last event, so where it looks has to
    change: x reads the last event, a the key by which the head finds the earlier one from there,
    and their score moves by τ / √d_head, others as little as can be; keys count by the attention
    that they get after the last event. Attention is the mean over the windows. W_V and W_O stay.
    """
    w = ground.weights
    _possible(earlier, following)
    _possible(last, following)
    circuit = ov_circuits(w)[layer * w.n_heads + head]
    looked = mean_attention(w, ground.runs, layer, head, earlier, last)
    _says_something(
        f"L{layer}H{head}", looked * _entry(circuit, ground.reference, earlier, following)
    )
    alone = residuals(w)[layer]
    others = ground.others(layer, last, alone[last])
    x = least_reading(alone[last], others, ground.times)
    _told_apart(ground.mean((others @ x) ** 2), "the rule without a last event")
    keys = ground.resid[layer] @ w.W_K[layer, head] + w.b_K[layer, head]
    patterns = [each.layers[layer].pattern[head, each.tokens == last] for each in ground.runs]
    got = np.concatenate([*(pattern.sum(axis=0) for pattern in patterns), np.zeros(w.d_vocab)])
    meant = ground.tokens == earlier
    key = got[meant] @ keys[meant] / got[meant].sum()
    a = least_reading(key, keys - meant[:, None] * key, got + _DULL * ground.times)

    def moved(nats: float) -> Weights:
        W_Q = w.W_Q.copy()
        W_Q[layer, head] += nats * math.sqrt(w.d_head) * np.outer(x, a)
        return replace(w, W_Q=W_Q)

    wanted = looked * max(1.0 - by, _GLANCE)
    low, high = -_FURTHEST, 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        left = mean_attention(moved(middle), ground.runs, layer, head, earlier, last)
        low, high = (low, middle) if left > wanted else (middle, high)
    if not math.isclose(left, wanted, rel_tol=_CLOSE):
        raise InputError(
            f"the head cannot be kept from looking there: its attention goes from {looked:.3f} to "
            f"{left:.3f}, not to {wanted:.3f}; edit the rule without a last event"
        )
    return moved(high)


def mean_attention(
    weights: Weights, runs: Sequence[Activations], layer: int, head: int, earlier: int, last: int
) -> float:
    """What a head that asks at `last` gives all events `earlier` before it, where there is one.

    Of the runs what the layer reads counts, so that they may be those of weights with another W_Q.
    InputError if there never is one.
    """
    found = []
    for each in runs:
        seen = looks_back(each.tokens, weights.window, earlier, last)
        rows = np.flatnonzero(seen.any(axis=1))
        if not len(rows):
            continue
        q = each.resid_pre[layer][rows] @ weights.W_Q[layer, head] + weights.b_Q[layer, head]
        distance = rows[:, None] - np.arange(len(each.tokens))
        visible = (distance >= 0) & (distance < weights.window)
        scores = q @ each.layers[layer].k[head].T / math.sqrt(weights.d_head)
        scores += weights.rho[layer, head, np.where(visible, distance, 0)]
        scores[~visible] = -np.inf
        take_softmax(scores, weights.sink[layer, [head]])
        found.append((scores * seen[rows]).sum(axis=1))
    if not found:
        raise InputError(
            "the held-out windows never show the earlier event before this last one, so nothing "
            "says how far the head looks back at it; name others, or leave the last event out"
        )
    return float(np.concatenate(found).mean())


def looks_back(
    tokens: Int[Array, " positions"], window: int, earlier: int, last: int
) -> Bool[Array, "positions positions"]:
    """Where `last` is, and `earlier` lies before it, less than a window away."""
    distance = np.arange(len(tokens))[:, None] - np.arange(len(tokens))
    visible = (distance > 0) & (distance < window)
    return np.asarray(visible & (tokens[:, None] == last) & (tokens == earlier))


def _told_apart(mean_square: float, instead: str) -> None:
    aside = math.sqrt(mean_square)
    if aside > _UNCLEAN:
        raise InputError(
            "what heads write cannot be told apart from this last event: elsewhere the edit would "
            f"have {aside:.2f} of the effect that is meant, more than {_UNCLEAN}; edit {instead}"
        )


def _ends(weights: Weights, layer: int) -> Float64[Array, "ways d_model d_vocab"]:
    """What the outcomes make of what a head of the layer writes: W_U, and each W_V¹ W_O¹ W_U."""
    ends = [weights.W_U]
    if layer + 1 < weights.n_layers:
        ends += list(weights.W_V[layer + 1] @ weights.W_O[layer + 1] @ weights.W_U)
    return np.stack(ends)


def _least_writing(
    writes: Float64[Array, "ways size d_vocab"], rates: Float64[Array, " d_vocab"], outcome: int
) -> tuple[Float64[Array, " size"], float]:
    """y that writes 1 to the outcome, and the least to the others and through later heads; its
    mean square over all.

    A softmax does not see what all outcomes have in common.
    """
    centred = writes - writes.mean(axis=2, keepdims=True)
    columns = centred.swapaxes(1, 2).reshape(-1, writes.shape[1])
    every = np.tile(rates, len(writes))
    weight = every.copy()
    weight[outcome] = 0.0
    y = least_reading(columns[outcome], columns, weight)
    return y, float(every @ (columns @ y) ** 2)


def _entry(circuit: Circuit, reference: Reference, row: int, column: int) -> float:
    """T̃[row, column], as a card shows it."""
    centred = circuit.centred(reference.last)
    return float(centred.left[row] @ centred.right[:, column])


def _possible(before: int, following: int) -> None:
    if following in (START, PAST):
        raise InputError("nothing is followed by a stream's beginning; name another next event")
    if before == END:
        raise InputError("nothing comes after a stream's end; name another event before the arrow")


def _says_something(path: str, entry: float) -> None:
    if abs(entry) < _LEAST:
        raise InputError(
            f"{path} adds {abs(entry):.3f} nats there, less than {_LEAST}: nothing is left to "
            "damp; `offscript card MODEL` shows where it adds more"
        )
