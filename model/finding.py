"""What a detector finds in a batch of events."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from .alert import OVERALL, Alert
from .folder import Model
from .kernels import N_DETECTORS, RING


@dataclass(frozen=True)
class Finding:
    """One statistic of one stream that passed its limit, with the window at that moment."""

    # Of the event in the batch, also where that ended the stream by coming so late; −1: an end by
    # silence that was looked for, or by mark.
    index: int
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
    """Arrays for the kernels to write findings to: how many there are of them and of events that
    came late, and a row of each for one finding.
    """
    return (
        np.zeros(2, np.int64),
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
    late: int  # events earlier than the one before in their stream


def alert_of(
    finding: Finding, model: Model, lines: Sequence[str | None] = (), *, text: str | None = None
) -> Alert:
    """The alert that a finding by a model makes.

    `lines` are raw lines of its last tokens, if known; `text` stands for the observed one, such as
    a name that is not in the vocabulary, else its line does.
    """
    names = model.vocabulary.names
    kept = list(lines)[-len(finding.tokens) :]
    padded = (None,) * (len(finding.tokens) - len(kept)) + tuple(kept)
    return Alert(
        id=uuid.uuid4().hex,
        model=model.sha256,
        stream=finding.stream,
        detector=finding.detector,
        time=finding.time,
        first_seen=finding.time,
        last_seen=finding.time,
        count=1,
        score=finding.score,
        threshold=finding.threshold,
        statistic=finding.statistic,
        limit=finding.limit,
        joined=finding.joined,
        position=finding.position,
        surprisal=finding.surprisal,
        entropy=finding.entropy,
        observed=names[finding.token],
        text=padded[-1] if text is None else text,
        expected=names[finding.expected],
        expected_probability=finding.expected_probability,
        tokens=finding.tokens,
        times=finding.times,
        lines=padded,
        span=finding.span,
        counts=finding.counts,
        scores=finding.scores,
        kinds=tuple(sorted({names[token] for token in (*finding.tokens, *finding.counts)}))
        if finding.detector in OVERALL
        else (),
    )
