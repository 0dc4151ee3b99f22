"""What a method makes of a data set: scores of streams that calibrate and of those that test."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from ..model.calibration import conformal_threshold
from ..training.batches import Sequences
from ..training.calibrate import Stream, cropped, tokens_of
from ..training.evaluate import alert_places, event_scores, stream_scores
from ..training.fit import learn_vocabulary
from ..training.measures import charged, supported_rate
from ..training.train import train_model
from .baselines.baseline import Fit, Scores, Training
from .labelled import Dataset


@dataclass(frozen=True)
class Outcome:
    """Scores by one method, high where streams look wrong; and how it was set.

    `events` are scores of the test streams' events, `places` where in each an alert is raised, the
    end being one event more; both where the method has them. `rule` is the threshold that it comes
    with, `beside` what else was measured on the way.
    """

    method: str
    setting: str
    ranks: Float64[np.ndarray, " ranks"]
    test: Float64[np.ndarray, " test"]
    events: list[NDArray[np.float64]] | None = None
    places: list[NDArray[np.int64]] | None = None
    rule: float | None = None
    beside: dict[str, float] = field(default_factory=dict)


def of_baseline(dataset: Dataset, fit: Fit, *, seed: int, device: str) -> list[Outcome]:
    """Fit a baseline and score; equal streams are scored once."""
    vocabulary, _ = learn_vocabulary(dataset.fit)

    def tokens(streams: Sequence[Stream]) -> list[NDArray[np.int32]]:
        return [tokens_of(vocabulary, stream) for stream in streams]

    baseline = fit(
        Training(
            fit=Sequences.of(tokens(dataset.fit)),
            held=Sequences.of(tokens(dataset.tails)),
            d_vocab=len(vocabulary),
            seed=seed,
            device=device,
        )
    )
    scored = tokens([*dataset.ranks, *dataset.test])
    place: dict[bytes, int] = {}
    inverse = np.array([place.setdefault(one.tobytes(), len(place)) for one in scored])
    different = [np.frombuffer(key, dtype=np.int32) for key in place]
    return [
        _outcome(dataset, method, baseline.setting, scores, inverse)
        for method, scores in baseline.score(different).items()
    ]


def _outcome(
    dataset: Dataset, method: str, setting: str, scores: Scores, inverse: NDArray[np.int64]
) -> Outcome:
    """The outcome from scores of different streams, of which stream i has the `inverse[i]`-th."""
    ranks, test = np.split(inverse, [len(dataset.ranks)])
    calibration = scores.streams[ranks]
    events = places = None
    if scores.events is not None and dataset.event_labels is not None:
        events = [
            charged(scores.events[i], len(stream.names))
            for i, stream in zip(test.tolist(), dataset.test, strict=True)
        ]
    if scores.events is not None and scores.running and dataset.first_wrong is not None:
        threshold = conformal_threshold(calibration, supported_rate(len(calibration)))
        places = [np.flatnonzero(scores.events[i] > threshold) for i in test.tolist()]
    return Outcome(method, setting, calibration, scores.streams[test], events, places, scores.rule)


def of_offscript(
    dataset: Dataset, out: Path, report: Callable[[str], None], *, seed: int, device: str
) -> list[Outcome]:
    """Train the default model and score: all detectors together, and parts of them."""
    began = time.perf_counter()
    model = train_model(replace(dataset.config, out=out, seed=seed, device=device), report)
    seconds = time.perf_counter() - began
    ranks, test = stream_scores(model, dataset.ranks), stream_scores(model, dataset.test)
    normals = [s for s, bad in zip(dataset.test, dataset.anomalous, strict=True) if not bad]
    joined = stream_scores(model, cropped(normals, np.random.default_rng(seed)))
    whole = Outcome(
        "offscript",
        f"{dataset.config.preset} {model.sha256[:12]}",
        ranks.by_method["offscript"],
        test.by_method["offscript"],
        events=event_scores(model, dataset.test) if dataset.event_labels else None,
        places=alert_places(model, dataset.test) if dataset.first_wrong is not None else None,
        beside={
            "false_alert_ratio_joined": float(joined.alerts().mean() / model.calibration.rate),
            "train_seconds": seconds,
            "train_tokens_per_second": model.summary["train_tokens_per_second"],
        },
    )
    parts = [method for method in ranks.by_method if method != whole.method]
    return [
        whole,
        *(
            Outcome(method, whole.setting, ranks.by_method[method], test.by_method[method])
            for method in parts
        ),
    ]
