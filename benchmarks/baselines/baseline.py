"""What every baseline is given and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from ...training.batches import Sequences

Tokens = NDArray[np.int32]  # `<start>` or `<past>`, the events, `<end>` where the end was seen


@dataclass(frozen=True)
class Training:
    """Normal streams to learn from, and others for choices; equal ones are counted."""

    fit: Sequences
    held: Sequences
    d_vocab: int
    seed: int
    device: str


@dataclass(frozen=True)
class Scores:
    """Scores of streams, high where they look wrong, and of their events where a method has them.

    `events` has one score for each token but the first; with `running` a stream's score is the
    largest of them, so that an alert comes with the event that passes the threshold. `rule` is the
    threshold that a method comes with, where it has one.
    """

    streams: Float64[np.ndarray, " streams"]
    events: list[NDArray[np.float64]] | None = None
    running: bool = False
    rule: float | None = None


class Baseline(Protocol):
    """A fitted method."""

    @property
    def setting(self) -> str:
        """What was chosen for it, as the results name it."""

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        """Scores by the name of each way to make them."""


Fit = Callable[[Training], Baseline]


def largest(events: list[NDArray[np.float64]], rule: float | None = None) -> Scores:
    """Streams scored by the largest of their events' scores."""
    return Scores(np.array([scores.max() for scores in events]), events, running=True, rule=rule)
