"""What held-out normal streams come to: the maxima of each detector's statistic, by stream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from numpy.typing import NDArray

from ..model.alert import AT_END, DETECTORS
from ..model.config import StreamConfig
from ..model.detector import Detector
from ..model.folder import Model
from ..model.vocabulary import END, PAST, START, Vocabulary

_AT_ONCE = 4096  # streams in a detector at a time
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


def _known_before(times: Float64[np.ndarray, " events"]) -> Float64[np.ndarray, " events"]:
    """Each time, where it is unknown that of the event before, of the first ones that of the next;
    zeros if none is known.
    """
    known = ~np.isnan(times)
    if not known.any():
        return np.zeros(len(times))
    at = np.maximum.accumulate(np.where(known, np.arange(len(times)), 0))
    return times[np.maximum(at, np.argmax(known))]


def units_of(streams: Sequence[Stream], config: StreamConfig) -> list[Stream]:
    """What is scored as one: a stream, of endless ones each block of time that has events."""
    if not config.endless:
        return list(streams)
    blocks = []
    for stream in streams:
        number = np.floor(_known_before(stream.times) / config.block_seconds)
        cuts = [0, *(np.flatnonzero(np.diff(number) != 0) + 1).tolist(), len(number)]
        for start, stop in itertools.pairwise(cuts):
            names, times = stream.names[start:stop], stream.times[start:stop]
            blocks.append(replace(stream, names=names, times=times))
    return blocks


def block_statistics(model: Model, streams: Sequence[Stream]) -> Statistics:
    """Maxima of each statistic by block of time, for endless streams."""
    rows: list[NDArray[np.float64]] = []
    for stream in streams:
        detector = Detector(model, limits=False)
        for block in units_of([stream], model.config.streams):
            detector.observe([""] * len(block.names), block.names, block.times)
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
