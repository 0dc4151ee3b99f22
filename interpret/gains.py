"""What a prediction gains, to first order, if another event stands in one place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.weights import Weights
from .activations import Activations
from .directions import softmax
from .paths import path_patterns, reading_vectors

Array = np.ndarray


@dataclass(frozen=True)
class Gains:
    """Σ_k A_k[t, s] (T_k[v] − T_k[e_s]) · w, w being the gradient of log p(observed).

    What log p(observed) gains if v stands at s instead of e_s, attention as it is. k is over heads,
    virtual heads and the direct path; `worth` is T_k[v] · w, `own` the second part of the sum.
    """

    patterns: Float64[Array, "paths positions"]
    worth: Float64[Array, "paths d_vocab"]
    own: Float64[Array, " positions"]

    @classmethod
    def of(cls, weights: Weights, activations: Activations, observed: int) -> Gains:
        """At the last prediction of a run."""
        w = -softmax(activations.logits[-1])
        w[observed] += 1.0
        u = weights.W_U @ w
        patterns, _ = path_patterns(weights, activations)
        W_V = weights.W_V.reshape(-1, *weights.W_V.shape[2:])  # of the heads of all layers, and
        if weights.n_layers == 2:  # of pairs of heads, whose first one reads the event
            W_V = np.concatenate([W_V, np.repeat(weights.W_V[0], weights.n_heads, axis=0)])
        read = (W_V @ reading_vectors(weights, u[None])[0][..., None])[..., 0]
        last = np.zeros((1, len(activations.tokens)))  # where the direct path reads
        last[0, -1] = 1.0
        patterns = np.concatenate([patterns, last])
        worth = np.concatenate([read, u[None]]) @ weights.W_E.T
        return cls(patterns, worth, (patterns * worth[:, activations.tokens]).sum(axis=0))

    def at(self, places: Int[Array, " places"]) -> Float64[Array, "places d_vocab"]:
        """The gain of each event in these places."""
        return np.asarray(self.patterns[:, places].T @ self.worth - self.own[places, None])

    def at_most(self) -> Float64[Array, " positions"]:
        """Σ_k A_k[t, s] (max_v T_k[v] − T_k[e_s]) · w: no event gains more in a place."""
        return np.asarray(self.worth.max(axis=1) @ self.patterns - self.own)
