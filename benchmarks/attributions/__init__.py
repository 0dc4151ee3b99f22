"""Ways to say how much each earlier event speaks for what was expected, over what came."""

from __future__ import annotations

from .attention import rollout, value_norm
from .chance import chance
from .gradients import gradient_input, integrated_gradients
from .question import Explained, Method, Question
from .replacement import ablation
from .shapley import kernel_shap
from .weights import direct_logits, offscript

METHODS: dict[str, Method] = {
    "offscript": offscript,
    "direct_logits": direct_logits,
    "integrated_gradients": integrated_gradients,
    "gradient_input": gradient_input,
    "ablation": ablation,
    "rollout": rollout,
    "value_norm": value_norm,
    "chance": chance,
}
SLOW: dict[str, Method] = {"kernel_shap": kernel_shap}  # a second an alert or more

__all__ = ["METHODS", "SLOW", "Explained", "Method", "Question", "kernel_shap"]
