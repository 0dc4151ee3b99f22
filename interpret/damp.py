"""One path of a decoder damped, by the change of its weights with the least effect on all else.

Every change here is of rank one, M += τ x yᵀ: x reads from what M is given the event that is meant,
y writes what is to change. Both are found by `least_reading`; τ makes the entry exactly what it is
to be, as a card shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int

from ..model.errors import InputError
from ..model.vocabulary import END, PAST, START
from ..model.weights import Weights
from .activations import Activations, run
from .circuits import Circuit, direct_path, ov_circuits, residuals
from .directions import softmax
from .reference import Reference

Array = np.ndarray

_RIDGE = 1e-6  # of the mean square: keeps a reading short where nothing else decides
_DULL = 1e-2  # what a sure prediction counts, beside p (1 − p) of one that is not
_LEAST = 0.01  # nats: an entry below says nothing
_UNCLEAN = 0.5  # root mean square elsewhere, beside the effect that is meant, up to which is told


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
    aside = math.sqrt(ground.mean((others @ x) ** 2))
    if aside > _UNCLEAN:
        raise InputError(
            f"what heads write cannot be told apart from this last event: elsewhere the edit would "
            f"move the next event by {aside:.2f} of what is meant, more than {_UNCLEAN}; edit the "
            "head that matters with --head or --rule"
        )

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
