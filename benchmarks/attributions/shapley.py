"""Shapley values of the events, estimated by the `shap` package."""

from __future__ import annotations

import numpy as np
import shap
import torch
from jaxtyping import Float64

from .question import Question

_AT_ONCE = 128  # coalitions


def kernel_shap(question: Question) -> Float64[np.ndarray, " sources"]:
    """Kernel SHAP: a player is an event, which is the mean embedding where it does not play."""
    embedded = question.model.embedded(question.tokens)
    mean = question.model.mean_embedding()

    def value(played: Float64[np.ndarray, "coalitions sources"]) -> Float64[np.ndarray, " _"]:
        parts = torch.split(torch.from_numpy(played).float()[:, :, None], _AT_ONCE)
        with torch.no_grad():
            found = [question.log_odds(mean + part * (embedded - mean)) for part in parts]
        return torch.cat(found).double().numpy()

    nobody, everybody = np.zeros((1, len(embedded))), np.ones((1, len(embedded)))
    explainer = shap.KernelExplainer(value, nobody)
    return np.asarray(explainer.shap_values(everybody, silent=True, l1_reg=0)[0])
