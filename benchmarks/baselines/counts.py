"""Event counts: the cosine distance of a stream's counts to the nearest of training's.

With idf each count is weighted by log(1 + N / n), N streams of which n have the event.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...training.nearest import cosine_distance, event_counts
from .baseline import Scores, Tokens, Training


class Counts:
    """The different count vectors of the training streams."""

    def __init__(self, training: Training) -> None:
        vectors = event_counts(training.fit.tokens, training.d_vocab)
        streams = training.fit.counts.sum()
        having = (training.fit.counts[:, None] * (vectors > 0)).sum(axis=0)
        self._idf = np.log1p(streams / np.maximum(having, 1))
        self._vectors = np.unique(vectors, axis=0)
        self.setting = f"{len(self._vectors)} vectors"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        counts = event_counts(sequences, len(self._idf))
        return {
            "counts_cosine": Scores(cosine_distance(counts, self._vectors)),
            "counts_cosine_idf": Scores(
                cosine_distance(counts * self._idf, self._vectors * self._idf)
            ),
        }
