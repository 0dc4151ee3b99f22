"""Event counts are compared by direction, whatever a stream's length."""

from __future__ import annotations

import numpy as np

from offscript.model.vocabulary import END, NEW, START
from offscript.training.nearest import cosine_distance, event_counts

A, B = 4, 5


def test_marks_are_not_events() -> None:
    counts = event_counts([np.array([START, A, A, NEW, END])], 6)

    np.testing.assert_array_equal(counts, [[0, 0, 0, 1, 2, 0]])


def test_the_nearest_vector_decides() -> None:
    known = np.array([[1.0, 0.0], [1.0, 1.0]])

    distance = cosine_distance(np.array([[5.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), known)

    np.testing.assert_allclose(distance, [0.0, 1 - np.sqrt(0.5), 1.0], atol=1e-12)


def test_equal_directions_are_equally_far() -> None:
    rng = np.random.default_rng(0)
    known = rng.integers(0, 9, (50, 7)).astype(np.float64)
    vector = rng.integers(1, 9, (1, 7)).astype(np.float64)

    distance = cosine_distance(np.concatenate([vector, 3 * vector, 7 * vector]), known)

    assert len(set(distance.tolist())) == 1
