"""What a detector finds in a batch of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from .kernels import N_DETECTORS, RING


@dataclass(frozen=True)
class Finding:
    """One statistic of one stream that passed its limit, with the window at that moment."""

    index: int  # of the event in the batch; −1: an end by silence or by mark
    row: int
    stream: str
    detector: str
    statistic: float
    limit: float
    score: float
    threshold: float
    surprisal: float
    entropy: float
    joined: bool
    position: int
    span: int
    time: float
    token: int
    expected: int
    expected_probability: float
    tokens: tuple[int, ...]
    times: tuple[float, ...]
    counts: dict[int, int] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)


def room_for(findings: int, d_vocab: int) -> tuple[NDArray[Any], ...]:
    """Arrays for the kernels to write findings to: their number, and a row of each for one."""
    return (
        np.zeros(1, np.int64),
        np.zeros((findings, 9), np.int64),
        np.zeros((findings, 5 + N_DETECTORS)),
        np.zeros((findings, RING), np.int32),
        np.zeros((findings, RING)),
        np.zeros((findings, d_vocab), np.uint16),
    )


@dataclass(frozen=True)
class Observed:
    """What a batch came to: surprisal and entropy in nats by event, and what passed a limit."""

    surprisal: Float32[np.ndarray, " events"]
    entropy: Float32[np.ndarray, " events"]
    findings: list[Finding]
    new: int  # events not in the vocabulary
    evicted: int  # streams forgotten to make room
    known: int  # events in a context that came before
