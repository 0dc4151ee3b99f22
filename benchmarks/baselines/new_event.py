"""New event: how many events of a stream are of a kind that training never showed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model.vocabulary import NEW
from .baseline import Scores, Tokens, Training


class NewEvent:
    """Nothing is learned besides the vocabulary."""

    setting = ""

    def __init__(self, _: Training) -> None:
        pass

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        events = [(tokens[1:] == NEW).astype(np.float64) for tokens in sequences]
        return {"new_event": Scores(np.array([e.sum() for e in events]), events, rule=0.0)}
