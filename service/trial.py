"""A model on trial: does what came last, once more, raise no more alerts than its budget allows?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..interpret.golden import check_golden
from ..model.detector import Detector
from ..model.errors import ModelError
from ..model.folder import Model, model_files, model_from_files
from ..model.scorer import FEW_KNOWN_BYTES, FEW_LIVE_BYTES
from .batch import Batch
from .feeding import feed, joined
from .reading import Reader

_MOST_STREAMS = 8192
_CHANCE = 1e-4  # with which a model is refused that keeps its budget


Files = dict[str, bytes]  # of a model, by name


def load_to_serve(path: Path) -> tuple[Model, Files]:
    """A model and its files; ModelError also if golden events score otherwise here."""
    model, files = read_folder(path)
    check_golden(model)
    return model, files


def read_folder(path: Path) -> tuple[Model, Files]:
    """A model and its files. What is kept in the store is what serves, byte for byte, though the
    folder, or what a link points to, may be replaced meanwhile.
    """
    files = model_files(path.resolve())
    return model_from_files(files), files


@dataclass(frozen=True)
class Trial:
    """What a model makes of batches."""

    events: int  # that it read
    streams: int  # of them; of endless streams, blocks of time
    alerted: int  # streams with an alert
    finite: bool  # all scores are numbers


def expected_at_most(n: int, share: float) -> int:
    """The least k with P(X > k) < 1e-4 for X ~ Binomial(n, share)."""
    k, below = -1, 0.0
    while 1.0 - below >= _CHANCE and k < n:
        k += 1
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        below += math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
    return k


@np.errstate(over="ignore", invalid="ignore")  # `finite` says it
def attempt(model: Model, batches: Sequence[Batch]) -> Trial:
    """Have batches read and scored by a model that knows nothing of their streams yet."""
    reader, config = Reader(model), model.config.streams
    detector = Detector(
        model, max_streams=_MOST_STREAMS, live_bytes=FEW_LIVE_BYTES, known_bytes=FEW_KNOWN_BYTES
    )

    def judged(stream: str, moment: float) -> tuple[str, float]:
        return stream, moment // config.block_seconds if config.endless else 0.0

    rows = joined([reader.read(batch) for batch in batches])
    # At once, whatever the size of the batches, which is many times faster.
    started = frozenset().union(*(batch.started for batch in batches))
    observed = feed(detector, rows, started=started, most=_MOST_STREAMS)
    ended = detector.end(stream for batch in batches for stream in batch.ended)
    streams = set(map(judged, rows.stream, rows.time.tolist()))
    findings = (*observed.findings, *ended.findings)
    return Trial(
        events=len(rows),
        streams=len(streams),
        alerted=len(streams & {judged(each.stream, each.time) for each in findings}),
        finite=bool(np.isfinite([*observed.surprisal, *ended.surprisal]).all()),
    )


def check(new: Model, old: Model, batches: Sequence[Batch]) -> Trial:
    """Try a model on its own events, its golden ones, and on what came last; ModelError says why it
    may not serve.

    It may raise as many alerts as its budget lets one expect, or as the model that serves raises
    for the same, give or take chance: an incident is no reason to refuse it.
    """
    own = Batch("", 0, None, list(new.vocabulary.names), None, None, received=time.time())
    if not attempt(new, [own]).finite:
        raise ModelError("the model's scores are not finite; train again")
    check_golden(new)
    if not batches:
        return Trial(0, 0, 0, finite=True)
    trial, usual = attempt(new, batches), attempt(old, batches)
    if trial.events < usual.events / 2:
        raise ModelError(
            f"the model reads {trial.events:,} events in what came last, the one that serves "
            f"{usual.events:,}; give a model of the same logs"
        )
    if not trial.finite:
        raise ModelError("the model's scores of what came last are not finite; train again")
    if trial.alerted:
        share = max(new.calibration.rate, usual.alerted / max(1, usual.streams))
        most = expected_at_most(trial.streams, min(share, 0.999))
        if trial.alerted > most:
            raise ModelError(
                f"the model raises alerts in {trial.alerted:,} of the {trial.streams:,} streams of "
                f"what came last, the one that serves in {usual.alerted:,}, and by its budget at "
                f"most {most:,} are to be expected; train it on newer logs, or restart the service "
                "to have it all the same"
            )
    return trial
