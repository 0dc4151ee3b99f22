"""Detectors' statistics of held-out normal streams → tails, threshold, alert budget.

The tail of each statistic is fitted on held-out streams, and the threshold on the combined score is
set by conformal prediction on the same ones, but a stream is never scored with tails that it was
part of: they are fitted anew without each tenth. Ranks and threshold from one set, without that,
give about six times the budget on HDFS.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from numpy.typing import NDArray

from ..model.alert import AT_END, DETECTORS, OVERALL
from ..model.calibration import (
    GRAIN,
    LEAST_SCALE,
    ONE_EVENT,
    SURPRISALS,
    Calibration,
    Tail,
    Threshold,
    conformal_threshold,
    fit_tail,
    tail_scores,
    together,
)
from ..model.detector import Detector
from ..model.folder import Model
from ..model.vocabulary import END, PAST, START, Vocabulary
from .budget import Budget

_AT_ONCE = 4096  # streams in a detector at a time
_TENTHS = 10
_STREAM = DETECTORS.index("stream")


@dataclass(frozen=True)
class Stream:
    """One stream to score: names, times, whether its beginning and its end were seen; its key."""

    names: Sequence[str | None]
    times: NDArray[np.float64]
    started: bool
    ended: bool
    key: str = ""


def tokens_of(vocabulary: Vocabulary, stream: Stream) -> Int32[np.ndarray, " tokens"]:
    """`<start>` or `<past>`, the events, and `<end>` if the end was seen."""
    mark = START if stream.started else PAST
    end = [END] if stream.ended else []
    return np.array([mark, *vocabulary.ids(stream.names), *end], np.int32)


@dataclass(frozen=True)
class Statistics:
    """Maximum of each statistic by stream, in the order of `DETECTORS`; nan where not taken.

    `learned`: the same by the decoder that serves, if it has learned what folds hold out.
    """

    values: Float64[np.ndarray, "streams detectors"]
    joined: Bool[np.ndarray, " streams"]
    learned: Float64[np.ndarray, "streams detectors"] | None = None

    def only(self, rows: Int64[np.ndarray, " rows"]) -> Statistics:
        """Those of some of the streams."""
        learned = None if self.learned is None else self.learned[rows]
        return Statistics(self.values[rows], self.joined[rows], learned)


def statistics_of(model: Model, streams: Sequence[Stream]) -> Statistics:
    """What the served scorer makes of whole streams, no alert raised."""
    at_end = [DETECTORS.index(name) for name in AT_END]
    parts, joined = [], []
    for first in range(0, len(streams), _AT_ONCE):
        part = streams[first : first + _AT_ONCE]
        detector = Detector(model, limits=False)
        keys = [str(index) for index in range(len(part))]
        names: list[str | None] = []
        owners: list[str] = []
        for key, stream in zip(keys, part, strict=True):
            names += stream.names
            owners += [key] * len(stream.names)
        times = np.concatenate([stream.times for stream in part])
        started = {key for key, stream in zip(keys, part, strict=True) if stream.started}
        # Silence within a recorded stream is no end of it here: what is asked is the whole stream.
        detector.observe(owners, names, np.full_like(times, np.nan), started=started)
        detector.end(key for key, stream in zip(keys, part, strict=True) if stream.ended)
        values = detector.statistics(keys)
        is_joined = detector.joined(keys)
        ended = np.array([stream.ended for stream in part])
        values[:, at_end] = np.where(ended[:, None], values[:, at_end], np.nan)
        values[is_joined, DETECTORS.index("counts")] = np.nan
        values[:, _STREAM] = np.nan  # made of the others' scores
        parts.append(values)
        joined.append(is_joined)
    return Statistics(np.concatenate(parts), np.concatenate(joined))


def block_statistics(model: Model, streams: Sequence[Stream]) -> Statistics:
    """Maxima of each statistic by block of time, for endless streams."""
    seconds = model.config.streams.block_seconds
    rows: list[NDArray[np.float64]] = []
    for stream in streams:
        detector = Detector(model, limits=False)
        block = np.floor(stream.times / seconds)
        cuts = [0, *(np.flatnonzero(np.diff(block) != 0) + 1).tolist(), len(block)]
        for start, stop in itertools.pairwise(cuts):
            detector.observe(
                [""] * (stop - start), stream.names[start:stop], stream.times[start:stop]
            )
            rows.append(detector.statistics([""])[0])
    values = np.array(rows)
    values[:, [*(DETECTORS.index(name) for name in AT_END), _STREAM]] = np.nan
    return Statistics(values, np.ones(len(values), dtype=np.bool_))


def cropped(streams: Sequence[Stream], rng: np.random.Generator) -> list[Stream]:
    """Each stream as it looks to one who joins it at a random event."""
    crops = []
    for stream in streams:
        start = int(rng.integers(0, len(stream.names)))
        crops.append(
            replace(stream, names=stream.names[start:], times=stream.times[start:], started=False)
        )
    return crops


def surprise_of(model: Model, streams: Sequence[Stream]) -> tuple[float, float]:
    """What normal events are measured against, in nats: kappa and the usual surprisal.

    Kappa is what the CUSUM takes off each event's excess: its mean and a quarter of its spread.
    """
    detector = Detector(model, limits=False)
    excess, surprisal = [], []
    for index, stream in enumerate(streams[:_AT_ONCE]):
        key = str(index)
        unknown = np.full(len(stream.names), np.nan)
        started = {key} if stream.started else frozenset()
        seen = detector.observe([key] * len(stream.names), stream.names, unknown, started=started)
        excess.append(seen.surprisal - seen.entropy)
        surprisal.append(seen.surprisal)
    every = np.concatenate(excess).astype(np.float64)
    kappa = max(0.0, every.mean()) + 0.25 * every.std()
    return float(kappa), float(np.concatenate(surprisal).astype(np.float64).mean())


def least_count_scale(model: Model) -> float:
    """A thirty-second of what an event of a new kind typically adds to the distance, 1 / (2 N).

    N kinds of events and the same with one more are about 1 − √(N / (N + 1)) apart. Where normal
    counts differ, they differ by less still: on HDFS by .0004 where anomalies do by .04.
    """
    if not len(model.count_vectors):
        return 1.0
    return float(1.0 / (64.0 * np.median((model.count_vectors > 0.0).sum(axis=1))))


def fit_tails(
    values: Float64[np.ndarray, "streams detectors"], *, count_scale: float
) -> dict[str, Tail]:
    """The tail of each detector that has a statistic of at least two streams.

    `event` and `end` have one: both are surprisals of one event, and one tail more would cost all
    others a part of the budget.
    """
    scales = {**LEAST_SCALE, "counts": count_scale}
    either = [DETECTORS.index(name) for name in SURPRISALS]
    surprisal = np.fmax.reduce(values[:, either], axis=1)
    fitted = {}
    for index, name in enumerate(DETECTORS):
        column = surprisal if index in either else values[:, index]
        known = column[~np.isnan(column)]
        if name in scales and len(known) >= 2:
            least = 0.0 if name in OVERALL else ONE_EVENT
            fitted[name] = fit_tail(known, least_scale=scales[name], least=least)
    return fitted


def fit_weights(
    scores: Float64[np.ndarray, "streams detectors"],
    bases: Float64[np.ndarray, "#streams detectors"],
) -> dict[str, float]:
    """w_i = 1 / Σ_j max(0, ρ_ij), with ρ the correlation of scores that count (0 for those below).

    Of n detectors that always say the same each counts 1/n, one that none repeats counts 1.
    """
    sure = tail_scores(scores, bases)
    apart = sure - sure.mean(axis=0)
    spread = np.sqrt((apart**2).sum(axis=0))
    apart = apart / np.where(spread > 0.0, spread, 1.0)
    rho = apart.T @ apart
    np.fill_diagonal(rho, 1.0)
    weights = dict(zip(DETECTORS, (1.0 / np.maximum(0.0, rho).sum(axis=1)).tolist(), strict=True))
    event, end = SURPRISALS
    return {**weights, end: weights[event]}


def fit_detectors(
    values: Float64[np.ndarray, "streams detectors"], *, count_scale: float
) -> Threshold:
    """Tails and weights of all detectors; the threshold is still to be set."""
    tails = fit_tails(values, count_scale=count_scale)
    alike = Threshold(tails, dict.fromkeys(tails, 1.0), math.inf, len(values))
    weights = fit_weights(alike.score(values), alike.bases())
    return replace(alike, weights={name: weights[name] for name in tails})


def held_out_scores(
    values: Float64[np.ndarray, "streams detectors"], *, count_scale: float, in_turn: bool
) -> tuple[Float64[np.ndarray, "streams detectors"], Float64[np.ndarray, "streams detectors"]]:
    """Each statistic as a score in nats, by what was fitted without the tenth that a stream is in.

    Streams go into tenths in turn, or a tenth is what comes one after another. With the scores come
    those past which they count, see `model.calibration.together`.
    """
    scores, bases = np.empty_like(values), np.empty_like(values)
    every, tenths = np.arange(len(values)), min(_TENTHS, len(values))
    for tenth in range(tenths):
        held = (every % tenths if in_turn else every * tenths // len(values)) == tenth
        fitted = fit_detectors(values[~held], count_scale=count_scale)
        scores[held], bases[held] = fitted.score(values[held]), fitted.bases()
    return scores, bases


def fit_threshold(statistics: Statistics, rate: float, *, count_scale: float) -> Threshold:
    """Tails and weights from all streams, and the threshold on scores by those that each had no
    part in.

    By a decoder that has learned them no more may pass it either: streams that are all alike would
    all pass if the one that serves happens to be a little less sure of them than those of folds.
    """
    values = statistics.values
    # A nightly job, all in one tenth, would set a threshold that nothing reaches.
    scores = together(*held_out_scores(values, count_scale=count_scale, in_turn=True))
    fitted = fit_detectors(values, count_scale=count_scale)
    # Streams that were set apart may be what the smallest budget was short of.
    rate = max(rate, 1.0 / (len(scores) + 1))
    threshold = conformal_threshold(scores, rate)
    if statistics.learned is not None:
        learned = combined(fitted, statistics.learned)
        threshold = max(threshold, conformal_threshold(learned, rate))
    return replace(fitted, threshold=threshold + GRAIN)


def combined(
    threshold: Threshold, values: Float64[np.ndarray, "streams detectors"]
) -> Float64[np.ndarray, " streams"]:
    """The score of each stream, in nats."""
    return together(threshold.score(values), threshold.bases())


@dataclass(frozen=True)
class HeldOut:
    """What held-out streams look like to a model that did not learn from them."""

    kappa: float  # see `surprise_of`
    usual: float
    whole: Statistics
    joined: Statistics  # of the same streams, each joined at a random event


def hold_out(
    model: Model,
    streams: Sequence[Stream],
    seed: int,
    surprise: tuple[float, float] | None = None,
) -> HeldOut:
    """Score held-out streams whole and joined; of endless ones, their blocks.

    `surprise` is what their events are measured against, if not what the model makes of them.
    """
    kappa, usual = surprise or surprise_of(model, streams)
    model = replace(model, calibration=replace(model.calibration, kappa=kappa, usual=usual))
    if model.config.streams.endless:
        blocks = block_statistics(model, streams)
        return HeldOut(kappa, usual, blocks, blocks)
    crops = cropped(streams, np.random.default_rng(seed))
    return HeldOut(kappa, usual, statistics_of(model, streams), statistics_of(model, crops))


def all_of(parts: Sequence[HeldOut]) -> HeldOut:
    """Held-out streams of several folds, each as the model that did not learn from it sees it."""

    def together(statistics: Sequence[Statistics]) -> Statistics:
        return Statistics(
            np.concatenate([part.values for part in statistics]),
            np.concatenate([part.joined for part in statistics]),
        )

    return HeldOut(
        float(np.mean([part.kappa for part in parts])),
        float(np.mean([part.usual for part in parts])),
        together([part.whole for part in parts]),
        together([part.joined for part in parts]),
    )


def with_learned(
    held: HeldOut, model: Model, folds: Sequence[Sequence[Stream]], seed: int
) -> HeldOut:
    """With what the decoder that serves makes of the streams of all folds, cut as they were."""
    surprise = held.kappa, held.usual
    served = all_of([hold_out(model, streams, seed, surprise) for streams in folds])
    return replace(
        held,
        whole=replace(held.whole, learned=served.whole.values),
        joined=replace(held.joined, learned=served.joined.values),
    )


def calibrate(model: Model, held: HeldOut, *, budget: Budget, rate: float) -> Calibration:
    """Thresholds for streams seen from their beginning and for joined ones."""
    scale = least_count_scale(model)
    return Calibration(
        kappa=held.kappa,
        usual=held.usual,
        budget=str(budget),
        rate=rate,
        whole=fit_threshold(held.whole, rate, count_scale=scale),
        joined=fit_threshold(held.joined, rate, count_scale=scale),
    )
