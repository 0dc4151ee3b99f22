"""Weights written by hand, whose rules are known."""

from __future__ import annotations

from collections.abc import Mapping

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


def one_head(scores: Mapping[int, float], brought: Mapping[int, float], *, makes: int) -> Weights:
    """A head that looks at events by their scores, whatever came last, and brings of each what it
    adds to the logit of the event that it `makes`.
    """
    config = DecoderConfig(12, 1, d_model=13, n_heads=1, d_head=2, window=8)
    arrays = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    arrays["W_E"][:, :12] = np.eye(12)
    arrays["W_U"][12, makes] = 1.0
    arrays["b_Q"][0, 0, 0] = np.sqrt(2.0)
    arrays["W_O"][0, 0, 0, 12] = 1.0
    for token, score in scores.items():
        arrays["W_K"][0, 0, token, 0] = score
    for token, value in brought.items():
        arrays["W_V"][0, 0, token, 0] = value
    return Weights(**arrays)


def undone(share: float) -> Weights:
    """A head that sees 4 and makes 8 of it, and one behind it that takes a share of that back."""
    config = DecoderConfig(12, 2, d_model=13, n_heads=1, d_head=2, window=8)
    arrays = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    arrays["W_E"][:, :12] = np.eye(12)
    arrays["W_U"][12, 8] = 1.0
    arrays["b_U"][8] = 4.0
    arrays["b_Q"][0, 0, 0] = np.sqrt(2.0)
    arrays["W_K"][0, 0, 4, 0] = 20.0
    arrays["W_V"][0, 0, 4, 0] = 5.0
    arrays["rho"][1, 0, 0] = 60.0
    arrays["W_V"][1, 0, 12, 0] = -share
    arrays["W_O"][:, 0, 0, 12] = 1.0
    return Weights(**arrays)
