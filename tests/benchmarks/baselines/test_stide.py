"""STIDE flags the n-grams that training never showed, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offscript.benchmarks.baselines.baseline import Tokens, Training
from offscript.benchmarks.baselines.stide import FRAME, LONGEST, Stide, frame_counts
from offscript.training.batches import Sequences

from .conftest import OPEN, READ, SHUT, WRITE, stream


def test_unseen_pairs_are_shared_out_over_the_stream(training: Training) -> None:
    known = Sequences.of([stream(OPEN, READ, SHUT), stream(OPEN, WRITE, SHUT)])
    other = Sequences.of([stream(OPEN, READ, WRITE, SHUT)])  # a pair of it is unseen: n is 2
    baseline = Stide(replace(training, fit=known, held=other))

    scores = baseline.score([stream(OPEN, READ, SHUT), stream(OPEN, SHUT, READ)])

    assert baseline.setting == "n = 2"
    # open→shut, shut→read and read→end are unseen; start→open is not.
    np.testing.assert_allclose(scores["stide"].streams, [0, 3 / 4])
    np.testing.assert_array_equal(scores["stide_frame"].streams, [0, 3])
    assert scores["stide_frame"].events is not None
    np.testing.assert_array_equal(scores["stide_frame"].events[1], [0, 1, 2, 3])


def test_n_is_as_long_as_held_out_normal_streams_allow(
    training: Training, normals: list[Tokens]
) -> None:
    loop = Sequences.of([stream(*[OPEN, READ, WRITE, SHUT] * 6)])
    noise = np.random.default_rng(0).integers(OPEN, SHUT + 1, (60, 30))
    random = Sequences.of([stream(*row) for row in noise.tolist()])

    regular = Stide(replace(training, fit=loop, held=loop))
    irregular = Stide(replace(training, fit=random, held=Sequences.of(normals)))

    assert regular.setting == f"n = {LONGEST}"
    assert irregular.setting in ("n = 2", "n = 3", "n = 4")


def test_a_frame_counts_the_last_twenty() -> None:
    counts = frame_counts(np.ones(50))

    np.testing.assert_array_equal(counts, np.minimum(np.arange(1, 51), FRAME))
    np.testing.assert_array_equal(frame_counts(np.array([1.0, 0.0, 1.0])), [1, 1, 2])
