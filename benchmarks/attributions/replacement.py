"""What happens to the log-odds when typical events stand where an event was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

from .question import Question, typical

_DRAWS = 8


def ablation(question: Question) -> Float64[np.ndarray, " sources"]:
    """Resample ablation: the mean fall of the log-odds, one event replaced at a time."""
    return effects(question, np.random.default_rng(1), draws=_DRAWS)


def effects(
    question: Question, rng: np.random.Generator, *, draws: int
) -> Float64[np.ndarray, " sources"]:
    """The mean fall of the log-odds when each event by itself is replaced by typical ones."""
    size = len(question.tokens)
    windows = np.tile(question.tokens, (size, draws, 1))
    for source in range(size):
        windows[source, :, source] = typical(question.model, rng, (draws,))
    after = question.log_odds_of(windows.reshape(-1, size)).reshape(size, draws)
    return np.asarray(question.direction.total - after.mean(axis=1))


def replaced(
    question: Question, sources: Sequence[int], rng: np.random.Generator, *, draws: int
) -> Int[np.ndarray, "draws sources"]:
    """The window with typical events in the place of all of these, in whatever order."""
    windows = np.tile(question.tokens, (draws, 1))
    windows[:, sorted(sources)] = typical(question.model, rng, (draws, len(sources)))
    return windows
