"""Weights written by hand, whose rules are known."""

from __future__ import annotations

import numpy as np

from offscript.model.config import DecoderConfig
from offscript.model.weights import Weights, shapes


def two_rules() -> Weights:
    """One head that looks at 4 and 5 and makes 8 and 9 of them, whatever came last."""
    config = DecoderConfig(10, 1, d_model=20, n_heads=1, d_head=2, window=8)
    arrays = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    arrays["W_E"][:, :10] = np.eye(10)
    arrays["W_U"][10:] = np.eye(10)
    arrays["b_K"][0, 0, 1] = 1.0
    arrays["b_Q"][0, 0, 0] = 20.0
    arrays["W_K"][0, 0, [4, 5], 0] = 1.0
    arrays["sink"][0, 0] = 5.0
    for rule in (0, 1):
        arrays["W_V"][0, 0, 4 + rule, rule] = 1.0
        arrays["W_O"][0, 0, rule, 18 + rule] = 6.0
    return Weights(**arrays)
