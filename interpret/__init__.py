"""Reading a trained decoder: attributions of one alert, the card of a whole model, experiments.

What is named here is what docs/research.md shows and keeps its meaning.
"""

from .ablation import Ablation, ablate
from .activations import Activations, Layer, attention_scores, logit_lens, run
from .circuits import (
    Circuit,
    compositions,
    direct_path,
    matching_circuits,
    ov_circuits,
    positivity,
    qk_circuits,
)
from .directions import contrast, softmax, surprisal
from .factored import FactoredMatrix
from .patching import parts, patch, readers, results
from .paths import Paths, expand, path_names
from .reference import Reference
from .roles import ROLES, repeated_windows, repeating, role_scores
from .sample import observe
from .transformer import Transformer
from .work import bigrams, share_of_work

__all__ = [
    "ROLES",
    "Ablation",
    "Activations",
    "Circuit",
    "FactoredMatrix",
    "Layer",
    "Paths",
    "Reference",
    "Transformer",
    "ablate",
    "attention_scores",
    "bigrams",
    "compositions",
    "contrast",
    "direct_path",
    "expand",
    "logit_lens",
    "matching_circuits",
    "observe",
    "ov_circuits",
    "parts",
    "patch",
    "path_names",
    "positivity",
    "qk_circuits",
    "readers",
    "repeated_windows",
    "repeating",
    "results",
    "role_scores",
    "run",
    "share_of_work",
    "softmax",
    "surprisal",
]
