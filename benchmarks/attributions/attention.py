"""Attention taken for an explanation: where heads look, whatever they make of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from .question import Question


def rollout(question: Question) -> Float64[np.ndarray, " sources"]:
    """Abnar and Zuidema's (2020): Π_l (½ Ā_l + ½ I), with Ā the mean over heads.

    Its rows are made to sum to one: what heads rest is left out.
    """
    layers = question.activations.layers
    mixed = np.eye(len(question.tokens))
    for layer in layers:
        mean = layer.pattern.mean(axis=0)
        mean = mean / np.maximum(mean.sum(axis=1, keepdims=True), 1e-12)
        mixed = (0.5 * mean + 0.5 * np.eye(len(mean))) @ mixed
    return np.asarray(mixed[-1])


def value_norm(question: Question) -> Float64[np.ndarray, " sources"]:
    """Kobayashi and others' (2020): Σ_l ‖Σ_h A_h[t, s] v_h[s] W_O‖ at the last position."""
    norms = np.zeros(len(question.tokens))
    for index, layer in enumerate(question.activations.layers):
        read = layer.pattern[:, -1, :, None] * layer.v
        written = (read @ question.model.weights.W_O[index]).sum(axis=0)
        norms += np.linalg.norm(written, axis=1)
    return norms
