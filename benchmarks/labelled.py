"""A labelled set: which of its streams train and which test, and both as a model reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from ..model.event import EventParser
from ..model.logs import read_lines
from ..model.templates import Templates
from ..training.config import TrainConfig
from ..training.corpus import Corpus, read_corpus, read_sequences
from ..training.held_out import Stream
from ..training.partition import judged, longest_pause, partition, stream_config
from ..training.source import Source, event_config, read

_PAUSES = 0.9  # share of training streams


@dataclass(frozen=True)
class Labelled:
    """What is known of a set's streams; nothing is read for a model yet.

    The logs hold no labels, so training cannot see them. `event_labels` and `first_wrong` are there
    for the streams whose events are labelled, or of which the first wrong event is known.
    """

    name: str
    config: TrainConfig  # how the logs are read; by itself it would train on all of them
    train: tuple[str, ...]  # normal streams
    test: tuple[str, ...]
    anomalous: frozenset[str]
    event_labels: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    first_wrong: Mapping[str, int] = field(default_factory=dict)
    weight: float = 1.0  # normal streams that each of the test stands for at published prevalence


@dataclass(frozen=True)
class Dataset:
    """A labelled set ready for every method, with templates as a training of a model learns them.

    In each round a method learns from some normal streams and is calibrated on others, which it has
    not seen. `normal` are all that there are in training.
    """

    name: str
    config: TrainConfig  # trains a model on exactly these normal streams
    normal: list[Stream]
    rounds: list[tuple[list[Stream], list[Stream]]]  # streams to learn from, and to calibrate on
    test: list[Stream]
    anomalous: Bool[np.ndarray, " test"]
    event_labels: list[NDArray[np.bool_]] | None
    first_wrong: Int64[np.ndarray, " test"] | None  # −1 where nothing is wrong
    unseen: Bool[np.ndarray, " test"]  # the first of equal ones, and equal to none in training
    closed: Bool[np.ndarray, " test"]  # surely over when the recording stopped
    weight: float

    @property
    def calibrating(self) -> list[Stream]:
        """The streams that the threshold is set on, of all rounds."""
        return [stream for _, held in self.rounds for stream in held]

    def moments(self) -> Float64[np.ndarray, " calibrating_and_test"] | None:
        """When the streams that calibrate and that test ended; None where events have no times."""
        last = np.array([stream.times[-1] for stream in (*self.calibrating, *self.test)])
        return None if np.isnan(last).any() else last


def contaminated(labelled: Labelled, share: float, *, seed: int) -> Labelled:
    """The set with `share` of its training streams replaced by anomalies of the test, drawn."""
    rng = np.random.default_rng(seed)
    bad = [key for key in labelled.test if key in labelled.anomalous]
    count = min(max(1, round(share * len(labelled.train))), len(bad) // 2)
    moved = {bad[i] for i in rng.permutation(len(bad))[:count]}
    dropped = set(rng.permutation(len(labelled.train))[:count].tolist())
    kept = [key for i, key in enumerate(labelled.train) if i not in dropped]
    return replace(
        labelled,
        train=(*kept, *(key for key in bad if key in moved)),
        test=tuple(key for key in labelled.test if key not in moved),
    )


def read_dataset(labelled: Labelled, scratch: Path) -> Dataset:
    """The streams as a model reads them that is trained on this set's training streams."""
    every = corpus_of(labelled.config, scratch)
    train = frozenset(labelled.train)
    config = replace(
        labelled.config, exclude=frozenset(key for key in every.streams if key not in train)
    )
    source = Source(config.logs, scratch)
    parser, corpus = read(config, source, event_config(config, source, _silent), None)
    if parser.config.format != "sequences":
        every = read_corpus(source(), parser)
    wanted = frozenset(labelled.test)
    test = every.select([i for i, key in enumerate(every.streams) if key in wanted])
    parts = partition(corpus, None, newest=config.newest)
    complete = config.complete or parser.config.format == "sequences"
    streams = stream_config(corpus, parts.fit, idle_seconds=config.idle_seconds)
    normal = judged(corpus, streams, complete=complete)
    tested = judged(test, streams, complete=complete)
    anomalous = np.array([key in labelled.anomalous for key in test.streams])
    return Dataset(
        name=labelled.name,
        config=config,
        normal=normal,
        rounds=[
            ([normal[i] for i in learning], [normal[i] for i in held])
            for learning, held in parts.rounds()
        ],
        test=tested,
        anomalous=anomalous,
        event_labels=[labelled.event_labels[key] for key in test.streams]
        if labelled.event_labels
        else None,
        first_wrong=np.array([labelled.first_wrong.get(key, -1) for key in test.streams])
        if labelled.first_wrong
        else None,
        unseen=_unseen(normal, tested, anomalous),
        closed=_closed(normal, tested),
        weight=labelled.weight,
    )


def corpus_of(config: TrainConfig, scratch: Path) -> Corpus:
    """All streams of the logs, before any template is learned."""
    source = Source(config.logs, scratch)
    events = event_config(config, source, _silent)
    if events.format == "sequences":
        return read_sequences(read_lines(config.logs))
    return read_corpus(source(), EventParser(events, Templates(())))


def _unseen(
    train: list[Stream], test: list[Stream], anomalous: Bool[np.ndarray, " test"]
) -> Bool[np.ndarray, " test"]:
    """Equal streams under both labels are two: which label is right cannot be said."""
    known = {(tuple(stream.names), label) for stream in train for label in (False, True)}
    found = np.zeros(len(test), np.bool_)
    for index, (stream, label) in enumerate(zip(test, anomalous.tolist(), strict=True)):
        key = tuple(stream.names), label
        found[index] = key not in known
        known.add(key)
    return found


def _closed(train: list[Stream], test: list[Stream]) -> Bool[np.ndarray, " test"]:
    """Silent, when the recording stopped, for longer than 9 of 10 training streams ever are.

    A recording does not say which streams would have gone on; where events have no times, none.
    """
    pause = np.quantile([longest_pause(stream.times) for stream in train], _PAUSES)
    last = np.array([stream.times[-1] for stream in test])
    stop = max(last.max(), *(stream.times[-1] for stream in train))
    return np.asarray(np.isnan(last) | (stop - last > pause))


def _silent(_: str) -> None:
    """What a training would report is not news here."""
