"""Read from the weights: the product's own evidence, and the same without centring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from .question import Question


def offscript(question: Question) -> Float64[np.ndarray, " sources"]:
    """Σ_k A_k[t, s] (T_k[e_s] − μ_k[q]), and for the last event what follows from it by itself."""
    paths = question.paths(question.model.reference)
    evidence: Float64[np.ndarray, " sources"] = paths.evidence[0].sum(axis=0)
    evidence[-1] += paths.direct[0] + paths.usual[0].sum()
    return evidence


def direct_logits(question: Question) -> Float64[np.ndarray, " sources"]:
    """Direct logit attribution, Σ_k A_k[t, s] T_k[e_s]; the last event has the direct path too."""
    reference = question.model.reference
    uncentred = replace(
        reference, means=np.zeros_like(reference.means), mean=np.zeros_like(reference.mean)
    )
    paths = question.paths(uncentred)
    evidence: Float64[np.ndarray, " sources"] = paths.evidence[0].sum(axis=0)
    evidence[-1] += paths.direct[0]
    return evidence
