"""Half-space trees learn from every event, and tell a stream whose counts are no others'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from offscript.benchmarks.serving_peers import STREAMS
from offscript.benchmarks.serving_river import half_space_trees
from offscript.model.folder import load_model


def test_a_stream_of_one_event_scores_above_streams_of_all(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    rng = np.random.default_rng(0)
    step = half_space_trees(model)

    for _ in range(40):
        tokens = rng.integers(3, len(model.vocabulary), STREAMS)
        tokens[0] = 3
        scores = np.asarray(step(torch.from_numpy(tokens)))

    assert scores.shape == (STREAMS,)
    assert scores[0] == scores.max() > np.median(scores)
