"""Numbers drawn at random: what a measure gives to a method that knows nothing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from .question import Question


def chance(question: Question) -> Float64[np.ndarray, " sources"]:
    """Normal numbers, others for every window."""
    seed = [question.observed, *question.tokens.tolist()]
    return np.random.default_rng(seed).normal(size=len(question.tokens))
