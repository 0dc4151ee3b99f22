"""Half-space trees that learn online, as river has them: what detects anomalies without training.

A stream is the count of each kind of event in it; every event is counted, scored and learned.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from river.anomaly import HalfSpaceTrees
from torch import Tensor

from ..model.folder import Model
from .serving_peers import STREAMS, Step

_SCALE = 100.0  # a count is a share of so many events: the trees split between 0 and 1


def half_space_trees(model: Model) -> Step:
    """One forest of river's own size for all streams."""
    forest = HalfSpaceTrees(seed=0)
    kinds = range(len(model.vocabulary))
    counts = [dict.fromkeys(kinds, 0.0) for _ in range(STREAMS)]

    def step(tokens: Int[Tensor, " streams"]) -> object:
        scores = np.empty(len(counts))
        for number, (own, token) in enumerate(zip(counts, tokens.tolist(), strict=True)):
            own[token] += 1.0 / _SCALE
            scores[number] = forest.score_one(own)  # type: ignore[no-untyped-call]  # river's are
            forest.learn_one(own)  # type: ignore[no-untyped-call]  # see above
        return scores

    return step
