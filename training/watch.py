"""A decoder watched from inside while it trains: at some steps, what its card would say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from ..interpret.activations import run
from ..interpret.roles import repeated_windows, repeating
from ..interpret.sample import draw_windows, read_windows
from ..interpret.stages import look, loss_of
from ..model.weights import Weights

Array = np.ndarray

# Of the windows that the card reads it takes the first, and few repeats: with these, a dozen looks
# take one or two hundredths of the time of a training.
_POSITIONS = 1_000
_REPEATS = 4
_FIRST = 8  # of the powers of two at which it looks


@dataclass(frozen=True)
class Watch:
    """The windows that a decoder is looked at on, held out unless it learns from all streams."""

    windows: list[Int[Array, " _"]]
    repeats: list[Int[Array, " _"]]

    @classmethod
    def of(cls, weights: Weights, sequences: Sequence[Int[Array, " _"]], *, seed: int) -> Watch:
        """The first windows that `draw_windows` would draw for a decoder of these sizes."""
        drawn = read_windows(draw_windows(weights, sequences, seed=seed))
        sizes = np.cumsum([len(window) - 1 for window in drawn])
        windows = drawn[: 1 + int(np.searchsorted(sizes, _POSITIONS))]
        repeats = repeated_windows(repeating(drawn), weights.window, draws=_REPEATS)
        return cls(windows, repeats)

    def stage(self, step: int, weights: Weights) -> dict[str, Any]:
        """What is kept of the decoder at this step: an `interpret.stages.Stage` as JSON."""
        return asdict(look(weights.astype(np.float64), step, self.windows, self.repeats))

    def loss(self, weights: Weights) -> float:
        """Nats per event that another decoder of the same events has on these windows."""
        weights = weights.astype(np.float64)
        return loss_of([run(weights, window[:-1]) for window in self.windows], self.windows)

    def history(self, stages: Sequence[dict[str, Any]], control: Weights | None) -> dict[str, Any]:
        """All of it for the model folder, beside the bigram control where that fits."""
        return {
            "events": sum(len(window) - 1 for window in self.windows),
            "loss_bigram": None if control is None else self.loss(control),
            "stages": list(stages),
        }


def worth_a_look(step: int) -> bool:
    """Powers of two: circuits form early or late by orders of magnitude."""
    return step >= _FIRST and step & (step - 1) == 0
