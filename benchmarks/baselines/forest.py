"""Isolation forest on event counts (Liu, Ting and Zhou, 2008), with scikit-learn's settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import IsolationForest

from ...training.nearest import event_counts
from .baseline import Scores, Tokens, Training


class Forest:
    """Trees that part random samples of the training streams."""

    def __init__(self, training: Training) -> None:
        self._d_vocab = training.d_vocab
        counts = event_counts(training.fit.tokens, training.d_vocab)
        self._forest = IsolationForest(random_state=training.seed)
        self._forest.fit(np.repeat(counts, training.fit.counts, axis=0))
        self.setting = f"{len(self._forest.estimators_)} trees"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        counts = event_counts(sequences, self._d_vocab)
        return {"isolation_forest": Scores(-self._forest.score_samples(counts))}
