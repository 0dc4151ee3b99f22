"""A tiny system for the baselines: a file is opened, read or written to some times, and shut."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.benchmarks.baselines.baseline import Tokens, Training
from offscript.model.vocabulary import END, START
from offscript.training.batches import Sequences

OPEN, READ, WRITE, SHUT = 4, 5, 6, 7


def stream(*events: int) -> Tokens:
    """Tokens of a stream that was seen from its beginning to its end."""
    return np.array([START, *events, END], np.int32)


def normal(count: int, seed: int) -> list[Tokens]:
    rng = np.random.default_rng(seed)
    return [
        stream(OPEN, *rng.choice([READ, WRITE], rng.integers(2, 6)).tolist(), SHUT)
        for _ in range(count)
    ]


@pytest.fixture
def training() -> Training:
    fit, held = Sequences.of(normal(200, 0)), Sequences.of(normal(60, 1))
    return Training(fit, held, d_vocab=8, seed=0, device="cpu")


@pytest.fixture
def normals() -> list[Tokens]:
    return normal(40, 2)
