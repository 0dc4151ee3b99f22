"""Length: how few normal streams are as short, or as long, as this one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .baseline import Scores, Tokens, Training


class Length:
    """Lengths of the training streams, in order."""

    def __init__(self, training: Training) -> None:
        lengths = [len(tokens) for tokens in training.fit.tokens]
        self._lengths = np.sort(np.repeat(lengths, training.fit.counts))
        self.setting = f"{self._lengths[0] - 1} to {self._lengths[-1] - 1}"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        """−log min(P(L ≤ l), P(L ≥ l)); beyond all of training plus |log(l / its extreme)|.

        P counts the stream itself with the training streams, so it is never 0.
        """
        known = self._lengths
        lengths = np.array([len(tokens) for tokens in sequences])
        as_short = np.searchsorted(known, lengths, side="right")
        as_long = len(known) - np.searchsorted(known, lengths, side="left")
        rare = -np.log((1 + np.minimum(as_short, as_long)) / (len(known) + 1))
        beyond = np.abs(np.log(lengths / np.clip(lengths, known[0], known[-1])))
        return {"length": Scores(rare + beyond)}
