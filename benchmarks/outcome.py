"""What a method makes of a data set: scores of streams that calibrate and of those that test."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from ..model.calibration import conformal_threshold
from ..model.vocabulary import Vocabulary
from ..training.batches import Sequences
from ..training.evaluate import (
    alert_places,
    calibrating_scores,
    event_scores,
    stream_scores,
)
from ..training.fit import learn_vocabulary
from ..training.held_out import Stream, cropped, tokens_of
from ..training.measures import charged, supported_rate
from ..training.train import train_model
from .baselines.baseline import Baseline, Fit, Scores, Training
from .labelled import Dataset

_CHOOSING = 1 / 6  # of the streams that a baseline learns from


@dataclass(frozen=True)
class Outcome:
    """Scores by one method, high where streams look wrong; and how it was set.

    `events` are scores of the test streams' events, `places` where in each an alert is raised, the
    end being one event more; both where the method has them. `alerts` are those of a method that
    sets its own threshold at the budget, `rule` is one that knows of no budget, `kept` which of the
    set's calibrating streams did calibrate (None: all), `beside` what else was measured on the way.
    """

    method: str
    setting: str
    calibration: Float64[np.ndarray, " calibrating"]
    test: Float64[np.ndarray, " test"]
    events: list[NDArray[np.float64]] | None = None
    places: list[NDArray[np.int64]] | None = None
    alerts: Bool[np.ndarray, " test"] | None = None
    rule: float | None = None
    kept: Bool[np.ndarray, " calibrating"] | None = None
    beside: dict[str, float] = field(default_factory=dict)


def of_baseline(dataset: Dataset, fit: Fit, *, seed: int, device: str) -> list[Outcome]:
    """Fit a baseline in each round and score what calibrates it; fit it to all, and score the test.

    Where there is but one round, the test is scored by what was fitted in it.
    """
    calibration: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for learning, held in dataset.rounds:
        fitted = Fitted.to(learning, fit, seed=seed, device=device)
        for method, scores in fitted.score(held).items():
            calibration[method].append(scores.streams)
    if len(dataset.rounds) > 1:
        fitted = Fitted.to(dataset.normal, fit, seed=seed, device=device)
    return [
        _outcome(dataset, method, fitted.baseline.setting, np.concatenate(calibration[method]), s)
        for method, s in fitted.score(dataset.test).items()
    ]


@dataclass(frozen=True)
class Fitted:
    """A baseline and the vocabulary that it was fitted with."""

    vocabulary: Vocabulary
    baseline: Baseline

    @classmethod
    def to(cls, streams: Sequence[Stream], fit: Fit, *, seed: int, device: str) -> Fitted:
        """Learn from these normal streams, a sixth of which is kept back for choices."""
        vocabulary, _ = learn_vocabulary(streams)
        tokens = [tokens_of(vocabulary, stream) for stream in streams]
        order = np.random.default_rng(0).permutation(len(tokens))
        choosing, learning = np.split(order, [max(1, round(_CHOOSING * len(tokens)))])
        training = Training(
            fit=Sequences.of([tokens[i] for i in learning]),
            held=Sequences.of([tokens[i] for i in choosing]),
            d_vocab=len(vocabulary),
            seed=seed,
            device=device,
        )
        return cls(vocabulary, fit(training))

    def score(self, streams: Sequence[Stream]) -> dict[str, Scores]:
        """Scores of streams and their events; equal streams are scored once."""
        tokens = [tokens_of(self.vocabulary, stream) for stream in streams]
        place: dict[bytes, int] = {}
        rows = [place.setdefault(one.tobytes(), len(place)) for one in tokens]
        different = [np.frombuffer(key, dtype=np.int32) for key in place]
        return {
            method: replace(
                scores,
                streams=scores.streams[rows],
                events=None if scores.events is None else [scores.events[row] for row in rows],
            )
            for method, scores in self.baseline.score(different).items()
        }


def _outcome(
    dataset: Dataset,
    method: str,
    setting: str,
    calibration: NDArray[np.float64],
    scores: Scores,
) -> Outcome:
    """The outcome from scores of the test streams."""
    events = places = None
    if scores.events is not None and dataset.event_labels is not None:
        events = [
            charged(one, len(stream.names))
            for one, stream in zip(scores.events, dataset.test, strict=True)
        ]
    if scores.events is not None and scores.running and dataset.first_wrong is not None:
        threshold = conformal_threshold(calibration, supported_rate(len(calibration)))
        places = [np.flatnonzero(one > threshold) for one in scores.events]
    return Outcome(method, setting, calibration, scores.streams, events, places, rule=scores.rule)


def of_offscript(
    dataset: Dataset, out: Path, report: Callable[[str], None], *, seed: int, device: str
) -> list[Outcome]:
    """Train the default model and score: all detectors together, and parts of them."""
    began = time.perf_counter()
    model = train_model(replace(dataset.config, out=out, seed=seed, device=device), report)
    seconds = time.perf_counter() - began
    held, test = calibrating_scores(model), stream_scores(model, dataset.test)
    kept = model.held["apart"] == 0
    normals = [s for s, bad in zip(dataset.test, dataset.anomalous, strict=True) if not bad]
    joined = stream_scores(model, cropped(normals, np.random.default_rng(seed)))
    alerts, rate = test.alerts(), model.calibration.rate
    whole = Outcome(
        "offscript",
        f"{dataset.config.preset} {model.sha256[:12]}",
        held["offscript"],
        test.by_method["offscript"],
        events=event_scores(model, dataset.test) if dataset.event_labels else None,
        places=alert_places(model, dataset.test) if dataset.first_wrong is not None else None,
        # A budget that nobody asked for is a wider one where the smallest would leave it blind.
        alerts=alerts if math.isclose(rate, supported_rate(len(held["offscript"]))) else None,
        kept=kept,
        beside={
            "default_budget": rate,
            "caught_default": float(alerts[dataset.anomalous].mean()),
            "false_alert_ratio_default": float(alerts[~dataset.anomalous].mean() / rate),
            "false_alert_ratio_joined": float(joined.alerts().mean() / rate),
            "train_seconds": seconds,
            "train_tokens_per_second": model.summary["train_tokens_per_second"],
        },
    )
    parts = [method for method in held if method != whole.method]
    return [
        whole,
        *(
            Outcome(method, whole.setting, held[method], test.by_method[method], kept=kept)
            for method in parts
        ),
    ]
