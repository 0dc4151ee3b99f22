"""Read from the weights: the product's own evidence, and the same without centring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from ...interpret.paths import Paths
from .question import Question


def offscript(question: Question) -> Float64[np.ndarray, " sources"]:
    """Σ_k A_k[t, s] (T_k[e_s] − μ_k); the last event has the direct path too."""
    return _by_event(question.paths(question.model.reference))


def direct_logits(question: Question) -> Float64[np.ndarray, " sources"]:
    """Direct logit attribution, the same without centring: Σ_k A_k[t, s] T_k[e_s]."""
    reference = question.model.reference
    return _by_event(question.paths(replace(reference, mean=np.zeros_like(reference.mean))))


def _by_event(paths: Paths) -> Float64[np.ndarray, " sources"]:
    evidence: Float64[np.ndarray, " sources"] = paths.evidence[0].sum(axis=0)
    evidence[-1] += paths.direct[0]
    return evidence
