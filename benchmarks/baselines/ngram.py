"""N-gram with Witten-Bell smoothing, the end scored: its largest and its mean surprisal.

The order is the one with the least held-out loss on normal streams.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...training.ngram import choose_ngram
from .baseline import Scores, Tokens, Training, largest

LONGEST = 10


class NGramSurprisal:
    """The n-gram that training fits beside every decoder, of any order that helps."""

    def __init__(self, training: Training) -> None:
        self._ngram, _ = choose_ngram(
            training.fit, training.held, d_vocab=training.d_vocab, longest=LONGEST
        )
        self.setting = f"order {self._ngram.order}"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        surprisal = self._ngram.surprisals(sequences)
        mean = np.array([one.mean() for one in surprisal])
        return {"ngram_max": largest(surprisal), "ngram_mean": Scores(mean)}
