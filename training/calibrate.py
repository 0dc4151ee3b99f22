"""Detectors' statistics of held-out normal streams → tails, threshold, alert budget.

Two parts of the held-out streams do different work: on `tails` the tail of each statistic is
fitted, on `ranks` the threshold on the combined score is set by conformal prediction. Ranks and
threshold from one set would overfit: about six times the budget on HDFS.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int32
from numpy.typing import NDArray

from ..model.alert import DETECTORS
from ..model.calibration import LEAST_SCALE, Calibration, Threshold, conformal_threshold, fit_tail
from ..model.detector import Detector
from ..model.errors import BudgetError
from ..model.folder import Model
from ..model.vocabulary import END, PAST, START, Vocabulary
from .budget import Budget, Size

DEFAULT = Budget(1, 1000, "stream")
_AT_ONCE = 4096  # streams in a detector at a time


@dataclass(frozen=True)
class Stream:
    """One stream to score: names, times, whether its beginning and its end were seen."""

    names: Sequence[str | None]
    times: NDArray[np.float64]
    started: bool
    ended: bool


def tokens_of(vocabulary: Vocabulary, stream: Stream) -> Int32[np.ndarray, " tokens"]:
    """`<start>` or `<past>`, the events, and `<end>` if the end was seen."""
    mark = START if stream.started else PAST
    end = [END] if stream.ended else []
    return np.array([mark, *vocabulary.ids(stream.names), *end], np.int32)


@dataclass(frozen=True)
class Statistics:
    """Maximum of each statistic by stream, in the order of `DETECTORS`; nan where not taken."""

    values: Float64[np.ndarray, "streams detectors"]
    joined: Bool[np.ndarray, " streams"]


def statistics_of(model: Model, streams: Sequence[Stream]) -> Statistics:
    """What the served scorer makes of whole streams, no alert raised."""
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
        values[~ended, DETECTORS.index("end")] = np.nan
        values[~ended | is_joined, DETECTORS.index("counts")] = np.nan
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
    values[:, DETECTORS.index("end")] = np.nan
    values[:, DETECTORS.index("counts")] = np.nan
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


def drift_kappa(model: Model, streams: Sequence[Stream]) -> float:
    """What the CUSUM takes off each event's excess: its mean and a quarter of its spread."""
    detector = Detector(model, limits=False)
    excess = []
    for index, stream in enumerate(streams[:_AT_ONCE]):
        key = str(index)
        unknown = np.full(len(stream.names), np.nan)
        started = {key} if stream.started else frozenset()
        seen = detector.observe([key] * len(stream.names), stream.names, unknown, started=started)
        excess.append(seen.surprisal - seen.entropy)
    joined = np.concatenate(excess).astype(np.float64)
    return float(max(0.0, joined.mean()) + 0.25 * joined.std())


def one_event_distance(model: Model) -> float:
    """Half of what one event more typically adds to the count distance, which is about 1 / (2 N).

    N events and the same with one more of a kind that was not there are 1 − √(N / (N + 1)) apart.
    """
    if not len(model.count_vectors):
        return 1.0
    return float(0.25 / np.median(model.count_vectors.sum(axis=1)))


def fit_threshold(
    tails: Statistics, ranks: Statistics, rate: float, *, count_scale: float
) -> Threshold:
    """Tails from one part of the held-out streams, the threshold from the other."""
    scales = {**LEAST_SCALE, "counts": count_scale}
    fitted = {}
    for index, name in enumerate(DETECTORS):
        known = tails.values[~np.isnan(tails.values[:, index]), index]
        if len(known) >= 2:
            fitted[name] = fit_tail(known, least_scale=scales[name])
    bare = Threshold(fitted, 0.0, len(ranks.values))
    return replace(bare, threshold=conformal_threshold(combined(bare, ranks), rate))


def combined(threshold: Threshold, statistics: Statistics) -> Float64[np.ndarray, " streams"]:
    """The score of each stream: the largest −log tail probability of its statistics."""
    scores = threshold.score(statistics.values)
    return np.asarray(np.fmax.reduce(scores, axis=1))


def supported(budget: Budget | None, size: Size) -> Budget:
    """The budget if held-out data of this size can support it.

    Without a wish: 1 in 1,000 streams, else the smallest that the data supports. A wish that the
    data cannot support raises BudgetError with the smallest that it can.
    """
    wish = budget or DEFAULT
    rate = wish.rate(size)
    if rate * (size.streams + 1) >= 1.0 - 1e-9:
        return wish
    smallest = wish.scaled(1.0 / (rate * (size.streams + 1)))
    if budget is None:
        return smallest
    raise BudgetError(
        f"a budget of {budget} asks for {1.0 / rate - 1:,.0f} held-out normal streams, there are "
        f"{size.streams:,}; the smallest that this data supports is {smallest}: give that or more "
        "data"
    )


def calibrate(
    model: Model,
    tails: tuple[Statistics, Statistics],
    ranks: tuple[Statistics, Statistics],
    *,
    budget: Budget,
    rate: float,
) -> Calibration:
    """Thresholds for whole streams and for joined ones, each from (whole, joined) statistics."""
    scale = one_event_distance(model)
    return Calibration(
        kappa=model.calibration.kappa,
        budget=str(budget),
        rate=rate,
        whole=fit_threshold(tails[0], ranks[0], rate, count_scale=scale),
        joined=fit_threshold(tails[1], ranks[1], rate, count_scale=scale),
    )
