"""Circuits of a whole model as tables over its events, read from the weights alone, in float64.

Every table over the vocabulary is a product of two thin factors, left [d_vocab rank] and right
[rank d_vocab], so that it is formed only where it is looked at. A softmax does not see what is
added to a whole row, so rows are centred; what a table says of an event is told beside the average
event, so columns are centred by how often events come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.weights import Weights
from .factored import FactoredMatrix
from .paths import path_names

Array = np.ndarray
_Residual = Float64[Array, "d_vocab d_model"]


@dataclass(frozen=True)
class Circuit:
    """A table over the vocabulary in two factors: table = left @ right."""

    name: str
    left: Float64[Array, "d_vocab rank"]
    right: Float64[Array, "rank d_vocab"]

    @property
    def matrix(self) -> FactoredMatrix:
        """The table as a product: its singular vectors, its norm, what comes of multiplying it."""
        return FactoredMatrix(self.left, self.right)

    def table(self) -> Float64[Array, "d_vocab d_vocab"]:
        """The whole table."""
        return self.matrix.AB

    def among(self, events: Int[Array, " events"]) -> Circuit:
        """The part of the table that has only these events, in this order, on both sides."""
        return Circuit(self.name, self.left[events], self.right[:, events])

    def centred(self, last: Float64[Array, " d_vocab"]) -> Circuit:
        """T̃[k, v] = T[k, v] − mean_v T[k] − Σ_k′ last[k′] (T[k′, v] − mean_v T[k′])."""
        left = self.left - last @ self.left
        right = self.right - self.right.mean(axis=1, keepdims=True)
        return Circuit(self.name, left, right)

    def row_centred(self, last: Float64[Array, " d_vocab"]) -> Circuit:
        """S[q, k] − Σ_k′ last[k′] S[q, k′]: the softmax over sources sees no more of a row."""
        return Circuit(self.name, self.left, self.right - (self.right @ last)[:, None])


def direct_path(weights: Weights) -> Circuit:
    """D = W_E W_U: what the last event says by itself."""
    return Circuit("direct", weights.W_E, weights.W_U)


def ov_circuits(weights: Weights) -> list[Circuit]:
    """T_k[event read, outcome], what each path brings at full attention, in nats of logit.

    Layer 0: (W_E W_V + b_V) W_O W_U; layer 1 the same of W_E + b_O⁰; virtual heads:
    (W_E W_V⁰ + b_V⁰) W_O⁰ W_V¹ W_O¹ W_U. In the order of `path_names`.
    """
    left, right = [], []
    for layer, before in enumerate(residuals(weights)):
        left += list(before @ weights.W_V[layer] + weights.b_V[layer][:, None])
        right += list(weights.W_O[layer] @ weights.W_U)
    if weights.n_layers == 2:
        for head in range(weights.n_heads):
            left += [left[head]] * weights.n_heads
            right += list(weights.W_O[0, head] @ weights.W_V[1] @ weights.W_O[1] @ weights.W_U)
    return [Circuit(*each) for each in zip(path_names(weights), left, right, strict=True)]


def qk_circuits(weights: Weights) -> list[Circuit]:
    """S[event that looks, event looked at] = (x W_Q + b_Q)(x W_K + b_K)ᵀ / √d_head, each head's.

    In layer 1 x is W_E + b_O⁰: what layer 0 writes comes on top. Position is not in it: see rho.
    """
    circuits = []
    for layer, x in enumerate(residuals(weights)):
        q = (x @ weights.W_Q[layer] + weights.b_Q[layer][:, None]) / np.sqrt(weights.d_head)
        k = x @ weights.W_K[layer] + weights.b_K[layer][:, None]
        circuits += [
            Circuit(f"L{layer}H{head}", q[head], k[head].T) for head in range(weights.n_heads)
        ]
    return circuits


def matching_circuits(weights: Weights) -> list[Circuit]:
    """K-composition: S[event that looks, event that the first head brought there], each pair's.

    (W_E + b_O⁰) W_Q¹ (W_E W_V⁰ W_O⁰ W_K¹)ᵀ / √d_head. An induction head looks for events whose
    predecessor is the current one: the diagonal of its table is large.
    """
    return [
        _attention(weights, name, second, alone, brought)
        for name, second, alone, brought in _pairs(weights)
    ]


def asking_circuits(weights: Weights) -> list[Circuit]:
    """Q-composition: S[event that the first head brought to where it looks, event looked at].

    (W_E W_V⁰ W_O⁰ W_Q¹) ((W_E + b_O⁰) W_K¹)ᵀ / √d_head of each pair: what an event before makes a
    head of layer 1 look for.
    """
    return [
        _attention(weights, name, second, brought, alone)
        for name, second, alone, brought in _pairs(weights)
    ]


def _pairs(weights: Weights) -> Iterator[tuple[str, int, _Residual, _Residual]]:
    """Each pair of a head of layer 0 and one of layer 1: its name, the second head, what that reads
    of an event alone and of what the first brings.
    """
    if weights.n_layers < 2:
        return
    alone = residuals(weights)[1]
    for first in range(weights.n_heads):
        brought = weights.W_E @ weights.W_V[0, first] @ weights.W_O[0, first]
        for second in range(weights.n_heads):
            yield f"L0H{first}→L1H{second}", second, alone, brought


def _attention(
    weights: Weights, name: str, head: int, looks: _Residual, looked_at: _Residual
) -> Circuit:
    """looks W_Q¹ (looked_at W_K¹)ᵀ / √d_head of a head of layer 1."""
    q = looks @ weights.W_Q[1, head] / np.sqrt(weights.d_head)
    return Circuit(name, q, (looked_at @ weights.W_K[1, head]).T)


def ov_weights(weights: Weights, layer: int, head: int) -> FactoredMatrix:
    """OV = W_V W_O, [d_model d_model]; W_E OV W_U is the full OV circuit, without biases."""
    return FactoredMatrix(weights.W_V[layer, head], weights.W_O[layer, head])


def qk_weights(weights: Weights, layer: int, head: int) -> FactoredMatrix:
    """QK = W_Q W_Kᵀ / √d_head, [d_model d_model]; W_E QK W_Eᵀ is the full one, without biases."""
    return FactoredMatrix(
        weights.W_Q[layer, head] / np.sqrt(weights.d_head), weights.W_K[layer, head].T
    )


def positivity(circuit: Circuit) -> float:
    """Σ Re λ / Σ |λ| over the eigenvalues of the table: 1 if it maps every event to itself."""
    eigenvalues = circuit.matrix.eigenvalues()
    size = float(np.abs(eigenvalues).sum())
    return float(eigenvalues.real.sum() / size) if size else 0.0


@dataclass(frozen=True)
class Singular:
    """The strongest directions of a table: value · left ⊗ right."""

    values: Float64[Array, " rank"]
    left: Float64[Array, "d_vocab rank"]
    right: Float64[Array, "rank d_vocab"]
    share: Float64[Array, " rank"]  # of the table's squared norm


def singular(circuit: Circuit, most: int) -> Singular:
    """left @ right = U Σ Vᵀ, at most `most` directions.

    The sign of a pair is free: the side that is more lopsided has its long tail upwards.
    """
    left, values, right = circuit.matrix.svd()
    skew_left, skew_right = (left**3).sum(axis=0), (right**3).sum(axis=1)
    lopsided = np.where(np.abs(skew_left) > np.abs(skew_right), skew_left, skew_right)
    sign = np.where(lopsided < 0.0, -1.0, 1.0)
    share = values**2 / max(float((values**2).sum()), 1e-300)
    left, right = left * sign, right * sign[:, None]
    return Singular(values[:most], left[:, :most], right[:most], share[:most])


@dataclass(frozen=True)
class Composition:
    """How much a head of layer 1 reads of what a head of layer 0 writes, beyond chance."""

    first: str
    second: str
    side: str  # "Q", "K" or "V"
    score: float  # less the baseline
    baseline: float  # of random matrices of these shapes


def compositions(weights: Weights, *, seed: int = 0, draws: int = 20) -> list[Composition]:
    """‖OV⁰ M‖ / (‖OV⁰‖ ‖M‖) less its mean for random factors; strongest first.

    M is W_Q W_Kᵀ (Q-composition), W_K W_Qᵀ (K) or W_V W_O (V) of the second head; norms are
    Frobenius's. No data is in it.
    """
    if weights.n_layers < 2:
        return []
    rng = np.random.default_rng(seed)
    d_model, d_head = weights.d_model, weights.d_head
    random = rng.normal(size=(draws, 2, d_model, d_head)) @ rng.normal(
        size=(draws, 2, d_head, d_model)
    )
    baseline = float(np.mean([_composed(a, b) for a, b in random]))
    found = []
    for first in range(weights.n_heads):
        ov = weights.W_V[0, first] @ weights.W_O[0, first]
        for second in range(weights.n_heads):
            W_Q, W_K = weights.W_Q[1, second], weights.W_K[1, second]
            sides = {
                "Q": W_Q @ W_K.T,
                "K": W_K @ W_Q.T,
                "V": weights.W_V[1, second] @ weights.W_O[1, second],
            }
            for side, read in sides.items():
                score = _composed(ov, read) - baseline
                found.append(
                    Composition(f"L0H{first}", f"L1H{second}", side, score, baseline=baseline)
                )
    return sorted(found, key=lambda each: -each.score)


def _composed(
    write: Float64[Array, "d_model d_model"], read: Float64[Array, "d_model d_model"]
) -> float:
    size = float(np.linalg.norm(write) * np.linalg.norm(read))
    return float(np.linalg.norm(write @ read)) / size if size else 0.0


def residuals(weights: Weights) -> list[Float64[Array, "d_vocab d_model"]]:
    """What each layer reads of an event by itself."""
    return (
        [weights.W_E, weights.W_E + weights.b_O[0]][: weights.n_layers] if weights.n_layers else []
    )
