"""Event counts of a stream against those of normal streams: the cosine to the nearest vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from ..model.vocabulary import END, PAST, START

_AT_ONCE = 2048  # streams compared with all normal ones at a time


def event_counts(
    sequences: Sequence[NDArray[np.integer]], d_vocab: int
) -> Float64[np.ndarray, "streams d_vocab"]:
    """How often each event comes in each sequence; marks of beginning and end are not events."""
    counts = np.zeros((len(sequences), d_vocab))
    for row, tokens in zip(counts, sequences, strict=True):
        row[:] = np.bincount(tokens, minlength=d_vocab)
    counts[:, [START, PAST, END]] = 0.0
    return counts


def cosine_distance(
    vectors: Float64[np.ndarray, "streams d_vocab"], known: Float64[np.ndarray, "known d_vocab"]
) -> Float64[np.ndarray, " streams"]:
    """1 − max over known y of x·y / (|x| |y|); 1 for a vector of zeros."""
    directions = _unit(known)
    parts = [
        1.0 - (_unit(vectors[first : first + _AT_ONCE]) @ directions.T).max(axis=1)
        for first in range(0, len(vectors), _AT_ONCE)
    ]
    # Equal directions are told apart by rounding alone, which must not rank them.
    return np.round(np.concatenate(parts), 12)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0.0] = 1.0
    return np.asarray(vectors / norms)
