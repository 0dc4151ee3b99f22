"""STIDE (Forrest et al., 1996): which n-grams of a stream did training never show?

Scored by their share and by the locality frame count, the most of them within 20 in a row
(Warrender et al., 1999). n is the largest up to 10 for which at most 1 % of held-out normal n-grams
are unseen: longer ones see more, as long as training has most of those that are normal.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...training.ngram import context_codes, join
from .baseline import Scores, Tokens, Training, largest

LONGEST = 10
FRAME = 20
_MOST_UNSEEN = 0.01


class Stide:
    """The n-grams of the training streams; before a stream's beginning there is only itself."""

    def __init__(self, training: Training) -> None:
        self._d_vocab = training.d_vocab
        weight = np.repeat(training.held.counts, [len(t) - 1 for t in training.held.tokens])
        longest = min(LONGEST, int(62 / np.log2(training.d_vocab)))
        for n in range(longest, 1, -1):
            self._n = n
            self._known = np.unique(np.concatenate(self._codes(training.fit.tokens)))
            unseen = np.concatenate(self._unseen(training.held.tokens))
            if np.average(unseen, weights=weight) <= _MOST_UNSEEN:
                break
        self.setting = f"n = {self._n}"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        unseen = self._unseen(sequences)
        share = np.array([one.mean() for one in unseen])
        frames = [frame_counts(one) for one in unseen]
        return {"stide": Scores(share, rule=0.0), "stide_frame": largest(frames)}

    def _unseen(self, sequences: Sequence[Tokens]) -> list[NDArray[np.float64]]:
        """For each event 1 if the n-gram that ends with it is unseen, else 0."""
        found = []
        for codes in self._codes(sequences):
            at = np.minimum(np.searchsorted(self._known, codes), len(self._known) - 1)
            found.append((self._known[at] != codes).astype(np.float64))
        return found

    def _codes(self, sequences: Sequence[Tokens]) -> list[NDArray[np.int64]]:
        tokens, offsets = join(sequences)
        codes = context_codes(tokens, offsets, self._n - 1, self._d_vocab) * self._d_vocab + tokens
        return [codes[start + 1 : stop] for start, stop in itertools.pairwise(offsets)]


def frame_counts(unseen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ of the last 20 values, at each place."""
    total = np.cumsum(unseen)
    before = np.concatenate([np.zeros(min(FRAME, len(total))), total[:-FRAME]])
    return np.asarray(total - before)
