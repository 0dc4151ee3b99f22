"""Gradients of the log-odds by each event's embedding, by Captum."""

from __future__ import annotations

import numpy as np
from captum.attr import InputXGradient, IntegratedGradients
from jaxtyping import Float64

from .question import Question

_STEPS = 32  # of the path's quadrature


def integrated_gradients(question: Question) -> Float64[np.ndarray, " sources"]:
    """(x − x̄) · ∫₀¹ ∇f(x̄ + α (x − x̄)) dα, from the mean embedding x̄ at every position."""
    embedded = question.model.embedded(question.tokens[None])
    found = IntegratedGradients(question.log_odds).attribute(
        embedded,
        baselines=question.model.mean_embedding().expand_as(embedded),
        n_steps=_STEPS,
    )
    return np.asarray(found[0].sum(dim=1).double().numpy())


def gradient_input(question: Question) -> Float64[np.ndarray, " sources"]:
    """x · ∇f(x)."""
    embedded = question.model.embedded(question.tokens[None]).requires_grad_()
    found = InputXGradient(question.log_odds).attribute(embedded)
    return np.asarray(found[0].detach().sum(dim=1).double().numpy())
