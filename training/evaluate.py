"""How well a model tells labelled streams apart, beside the baselines that its folder carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from ..model.alert import DETECTORS
from ..model.calibration import together
from ..model.detector import Detector
from ..model.errors import InputError
from ..model.finding import Observed
from ..model.folder import Model
from ..model.vocabulary import END
from .calibrate import held_out_scores, least_count_scale
from .corpus import Corpus
from .held_out import Statistics, Stream, statistics_of, tokens_of
from .measures import BUDGETS, alerting, charged, ranking
from .nearest import cosine_distance, event_counts
from .ngram import NGram, worst_surprisal
from .partition import judged

# What carries it: all detectors, all that need the decoder, and the one that does not.
METHODS: dict[str, tuple[str, ...]] = {
    "offscript": DETECTORS,
    "offscript_decoder": tuple(name for name in DETECTORS if name != "counts"),
    "offscript_counts": ("counts",),
}
_AT_ONCE = 4096  # streams in a detector at a time


@dataclass(frozen=True)
class StreamScores:
    """The score of each stream in nats by method, and the threshold of all detectors together.

    −∞ where none of a method's detectors had anything to judge.
    """

    by_method: dict[str, NDArray[np.float64]]
    thresholds: Float64[np.ndarray, " streams"]

    def alerts(self) -> Bool[np.ndarray, " streams"]:
        """Which streams raise an alert when all detectors serve together."""
        return np.asarray(self.by_method["offscript"] > self.thresholds)


def stream_scores(model: Model, streams: Sequence[Stream]) -> StreamScores:
    """What the model makes of whole streams, by all its detectors together and by parts of them."""
    return scores_of(model, statistics_of(model, streams))


def scores_of(model: Model, statistics: Statistics) -> StreamScores:
    """The scores that statistics of streams, or of blocks, come to."""
    values, bases = np.empty_like(statistics.values), np.empty_like(statistics.values)
    thresholds = np.empty(len(values))
    for joined in (False, True):
        rows = np.flatnonzero(statistics.joined == joined)
        calibrated = model.calibration.of(joined)
        values[rows] = calibrated.score(statistics.values[rows])
        bases[rows] = calibrated.bases()
        thresholds[rows] = calibrated.threshold
    return StreamScores(_by_method(values, bases), thresholds)


def calibrating_scores(model: Model) -> dict[str, NDArray[np.float64]]:
    """The same scores of the streams that calibrated the model, each as if it were a new one."""
    values = np.asarray(model.held["whole"], dtype=np.float64)
    scale = least_count_scale(model)
    return _by_method(*held_out_scores(values, count_scale=scale, in_turn=True))


def _by_method(
    scores: Float64[np.ndarray, "streams detectors"],
    bases: Float64[np.ndarray, "streams detectors"],
) -> dict[str, NDArray[np.float64]]:
    return {
        method: together(np.where([name in part for name in DETECTORS], scores, -np.inf), bases)
        for method, part in METHODS.items()
    }


def event_scores(model: Model, streams: Sequence[Stream]) -> list[NDArray[np.float64]]:
    """For each event its own surprisal and that of what came next, in nats; see `charged`."""
    scores = []
    for first in range(0, len(streams), _AT_ONCE):
        part = streams[first : first + _AT_ONCE]
        detector, keys = Detector(model, limits=False), [str(i) for i in range(len(part))]
        surprisal = _observe(detector, keys, part).surprisal
        ended = [key for key, stream in zip(keys, part, strict=True) if stream.ended]
        ends = dict(zip(ended, detector.end(ended).surprisal.tolist(), strict=True))
        cuts = np.cumsum([len(stream.names) for stream in part])[:-1]
        for key, own in zip(keys, np.split(surprisal, cuts), strict=True):
            scored = np.append(own, ends[key]) if key in ends else own
            scores.append(charged(scored.astype(np.float64), len(own)))
    return scores


def alert_places(model: Model, streams: Sequence[Stream]) -> list[NDArray[np.int64]]:
    """Events of each stream at which the served detectors raise an alert; the end is one more."""
    places: list[list[int]] = [[] for _ in streams]
    for first in range(0, len(streams), _AT_ONCE):
        part = streams[first : first + _AT_ONCE]
        detector, keys = Detector(model), [str(i) for i in range(len(part))]
        findings = _observe(detector, keys, part).findings
        ended = [key for key, stream in zip(keys, part, strict=True) if stream.ended]
        for finding in [*findings, *detector.end(ended).findings]:
            before = finding.position - (finding.token != END)
            places[first + int(finding.stream)].append(before)
    return [np.array(sorted(found), dtype=np.int64) for found in places]


def _observe(detector: Detector, keys: Sequence[str], streams: Sequence[Stream]) -> Observed:
    """All events of these streams, one stream after the other, through a detector."""
    owners: list[str] = []
    names: list[str | None] = []
    for key, stream in zip(keys, streams, strict=True):
        owners += [key] * len(stream.names)
        names += stream.names
    started = {key for key, stream in zip(keys, streams, strict=True) if stream.started}
    # Silence within a recorded stream is no end of it here, so events come without their times.
    return detector.observe(owners, names, np.full(len(names), np.nan), started=started)


def most_surprising(model: Model, streams: Sequence[Stream]) -> list[int]:
    """The place in each stream of the event with the largest surprisal."""
    keys = [str(i) for i in range(len(streams))]
    surprisal = _observe(Detector(model, limits=False), keys, streams).surprisal
    cuts = np.cumsum([len(stream.names) for stream in streams])[:-1]
    return [int(own.argmax()) for own in np.split(surprisal, cuts)] if streams else []


def count_scores(model: Model, streams: Sequence[Stream]) -> Float64[np.ndarray, " streams"]:
    """Cosine distance of each stream's event counts to the nearest of the normal streams kept."""
    sequences = [tokens_of(model.vocabulary, stream) for stream in streams]
    counts = event_counts(sequences, len(model.vocabulary))
    return cosine_distance(counts, model.count_vectors.astype(np.float64))


@dataclass(frozen=True)
class Evaluation:
    """Method → measure → value, and what it was measured on."""

    measures: dict[str, dict[str, float]]
    anomalous: int
    normal: int
    rate: float  # false alerts per normal stream that were budgeted


def evaluate(model: Model, corpus: Corpus, *, complete: bool) -> Evaluation:
    """Quality of Offscript and of the baselines on streams with labels 0 and 1."""
    labels = corpus.labels
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise InputError(
            "evaluation needs normal (0) and anomalous (1) streams, labels found: "
            f"{sorted(set(labels.tolist()))}; give --labels FILE with `stream,label` lines"
        )
    anomalous = labels == 1
    streams = judged(corpus, model.config.streams, complete=complete)
    scores = stream_scores(model, streams)
    ngram = NGram.from_arrays(model.baseline)
    surprisal = worst_surprisal(ngram, model.vocabulary, streams)
    by_method = {**scores.by_method, f"{ngram.order}-gram": surprisal}
    if len(model.count_vectors):
        by_method["count vectors"] = count_scores(model, streams)
    found = {method: ranking(values, anomalous) for method, values in by_method.items()}
    limit = float(model.baseline["threshold"].astype(np.float64)[0])
    rate = model.calibration.rate
    found["offscript"] |= alerting(scores.alerts(), anomalous, rate=rate)
    found[f"{ngram.order}-gram"] |= alerting(surprisal > limit, anomalous, rate=rate)
    return Evaluation(found, int(anomalous.sum()), int((~anomalous).sum()), rate)


def table(evaluation: Evaluation) -> str:
    """The measures as a table for a terminal; – for methods without a threshold of their own."""
    e = evaluation
    rates = "".join(f"{f'{fpr:.1%}':>8}" for fpr in BUDGETS)
    lines = [
        (
            f"{e.normal:,} normal and {e.anomalous:,} anomalous streams, "
            f"{e.rate * e.normal:.1f} false alerts budgeted"
        ),
        "F1 oracle: at the threshold that the labels like best, which nobody has",
        "",
        f"{'':<34}{'TPR at a FPR of':>24}{'':>14}{'false':>8}{'':>8}{'F1':>8}",
        f"{'method':<18}{'AUROC':>8}{'AP':>8}{rates}{'caught':>14}{'alerts':>8}{'F1':>8}{'oracle':>8}",
    ]
    for method, values in e.measures.items():
        caught, false, f1 = "–", "–", "–"
        if "caught" in values:
            caught = f"{values['caught'] * e.anomalous:,.0f}/{e.anomalous:,}"
            false = f"{values['false_alert_ratio'] * e.rate * e.normal:,.0f}"
            f1 = f"{values['f1_calibrated']:.3f}"
        shares = "".join(f"{values[f'tpr_at_fpr_{fpr:g}']:>8.3f}" for fpr in BUDGETS)
        lines.append(
            f"{method:<18}{values['auroc']:>8.4f}{values['average_precision']:>8.4f}{shares}"
            f"{caught:>14}{false:>8}{f1:>8}{values['f1_oracle']:>8.3f}"
        )
    return "\n".join(lines)
