"""How well a model tells labelled streams apart, beside the n-gram baseline fitted with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from ..model.alert import DETECTORS
from ..model.errors import InputError
from ..model.folder import Model
from .calibrate import Statistics, Stream, combined, statistics_of, tokens_of
from .corpus import Corpus
from .ngram import NGram
from .partition import judged


@dataclass(frozen=True)
class Quality:
    """One method on one labelled set; rates are shares of streams."""

    method: str
    auroc: float
    average_precision: float
    tpr_at_fpr_001: float  # at 0.1 %
    tpr_at_fpr_01: float  # at 1 %
    caught: int
    false_alerts: int
    budgeted: float  # false alerts that the budget allows for so many normal streams
    f1: float  # at the calibrated threshold
    anomalous: int
    normal: int


@dataclass(frozen=True)
class Scored:
    """Scores of all streams by one method, in nats, and which of them raise an alert."""

    method: str
    scores: Float64[np.ndarray, " streams"]
    alerts: Bool[np.ndarray, " streams"]


def score_streams(model: Model, streams: Sequence[Stream]) -> tuple[list[Scored], Statistics]:
    """Offscript's score of each stream, and that of the baseline."""
    statistics = statistics_of(model, streams)
    scores = np.empty(len(streams))
    alerts = np.zeros(len(streams), dtype=np.bool_)
    for joined in (False, True):
        rows = np.flatnonzero(statistics.joined == joined)
        threshold = model.calibration.of(joined)
        scores[rows] = combined(threshold, statistics.values[rows])
        alerts[rows] = scores[rows] > threshold.threshold
    ours = Scored("offscript", scores, alerts)
    ngram = NGram.from_arrays(model.baseline)
    worst = ngram_scores(ngram, model, streams)
    limit = float(model.baseline["threshold"].astype(np.float64)[0])
    return [ours, Scored(f"{ngram.order}-gram", worst, worst > limit)], statistics


def ngram_scores(
    ngram: NGram, model: Model, streams: Sequence[Stream]
) -> Float64[np.ndarray, " streams"]:
    """The baseline's score: its largest surprisal in the stream, the end's included where seen."""
    sequences = [tokens_of(model.vocabulary, stream) for stream in streams]
    return np.array([surprisal.max() for surprisal in ngram.surprisals(sequences)])


def evaluate(model: Model, corpus: Corpus, *, complete: bool) -> list[Quality]:
    """Quality of Offscript and of the baseline on streams with labels 0 and 1."""
    labels = corpus.labels
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise InputError(
            "evaluation needs normal (0) and anomalous (1) streams, labels found: "
            f"{sorted(set(labels.tolist()))}; give --labels FILE with `stream,label` lines"
        )
    scored, _ = score_streams(model, judged(corpus, model.config.streams, complete=complete))
    rate = model.calibration.rate
    return [quality(one, labels == 1, rate) for one in scored]


def quality(scored: Scored, anomalous: Bool[np.ndarray, " streams"], rate: float) -> Quality:
    """All measures of one method; `rate`: false alerts per normal stream that were budgeted."""
    fpr, tpr, _ = roc_curve(anomalous, scored.scores, drop_intermediate=False)
    caught = int((scored.alerts & anomalous).sum())
    false_alerts = int((scored.alerts & ~anomalous).sum())
    total = int(anomalous.sum())
    normal = int((~anomalous).sum())
    return Quality(
        method=scored.method,
        auroc=float(roc_auc_score(anomalous, scored.scores)),
        average_precision=float(average_precision_score(anomalous, scored.scores)),
        tpr_at_fpr_001=float(tpr[fpr <= 0.001].max()),
        tpr_at_fpr_01=float(tpr[fpr <= 0.01].max()),
        caught=caught,
        false_alerts=false_alerts,
        budgeted=rate * normal,
        f1=2 * caught / (caught + total + false_alerts),
        anomalous=total,
        normal=normal,
    )


def table(qualities: Sequence[Quality]) -> str:
    """The measures as a table for a terminal."""
    first = qualities[0]
    lines = [
        f"{first.normal:,} normal and {first.anomalous:,} anomalous streams",
        "",
        (
            f"{'method':<12}{'AUROC':>8}{'AP':>8}{'TPR at FPR':>20}{'caught':>14}"
            f"{'false alerts':>22}{'F1':>8}"
        ),
        f"{'':<12}{'':>8}{'':>8}{'0.1 %':>10}{'1 %':>10}{'':>14}{'(budgeted)':>22}{'':>8}",
    ]
    for q in qualities:
        caught = f"{q.caught:,}/{q.anomalous:,}"
        false_alerts = f"{q.false_alerts:,} ({q.budgeted:.1f})"
        lines.append(
            f"{q.method:<12}{q.auroc:>8.4f}{q.average_precision:>8.4f}{q.tpr_at_fpr_001:>10.3f}"
            f"{q.tpr_at_fpr_01:>10.3f}{caught:>14}{false_alerts:>22}{q.f1:>8.3f}"
        )
    return "\n".join(lines)


def by_detector(model: Model, statistics: Statistics) -> dict[str, int]:
    """How many streams each detector alone would have raised an alert for."""
    limits = model.calibration.whole.limits(), model.calibration.joined.limits()
    counts = {}
    for index, name in enumerate(DETECTORS):
        limit = np.where(statistics.joined, limits[1][index], limits[0][index])
        counts[name] = int((np.nan_to_num(statistics.values[:, index]) > limit).sum())
    return counts
