"""What one event of an alert was predicted from, run through the model."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.alert import Alert
from ..model.vocabulary import PAST, START, Vocabulary
from ..model.weights import Weights
from .activations import Activations
from .reference import Reference


@dataclass(frozen=True)
class Window:
    """All that an alert's event `index` was predicted from, run through its model."""

    weights: Weights  # float64
    vocabulary: Vocabulary
    reference: Reference
    alert: Alert
    index: int  # into the alert's tokens
    activations: Activations

    @property
    def offset(self) -> int:
        """Index of the window's first event."""
        return self.index - len(self.activations.tokens)

    def name(self, index: int) -> str:
        """The event at an index into the alert's tokens."""
        return self.vocabulary.names[self.alert.tokens[index]]


def receptive_field(weights: Weights) -> int:
    """Tokens that a prediction depends on."""
    return weights.n_layers * (weights.window - 1) + 1


def whole(alert: Alert, index: int, field: int) -> bool:
    """Whether all that the prediction of event `index` depends on is among the alert's tokens."""
    return index >= field or alert.tokens[0] in (START, PAST)
