"""Traffic made of a set's real streams: so many of them live at a time, played event by event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from ..model.event import EventParser
from ..model.folder import Model
from ..model.logs import read_lines
from ..training.config import TrainConfig
from ..training.corpus import read_corpus, read_sequences
from .datasets import load

SETS = ("postgres", "hdfs_raw", "ocatak_api", "adfa_ld")
_TRACES = 60  # of ocatak_api, which are long
_PIECE = 2000  # events; longer streams are played piece by piece


@dataclass(frozen=True)
class Recorded:
    """A set's streams as a model reads them, and its raw lines where it has any."""

    name: str
    names: list[str]  # distinct
    ids: Int64[np.ndarray, " events"]  # stream after stream, as indexes into `names`
    bounds: Int64[np.ndarray, " pieces1"]  # where a piece of a stream begins; the last one's end
    lines: list[str] | None


@dataclass(frozen=True)
class Piece:
    """Events side by side, as the detector and the service take them."""

    stream: list[str]
    name: list[str]
    time: Float64[np.ndarray, " events"]

    def __len__(self) -> int:
        return len(self.stream)


def training_of(name: str, data: Path, scratch: Path) -> TrainConfig:
    """How to train on the set called `name`, one of `SETS`."""
    if name != "ocatak_api":
        labelled = load(name, data, scratch)
        if name != "adfa_ld":
            return labelled.config
        return replace(labelled.config, exclude=frozenset(labelled.test))  # a ninth of it trains
    copy = scratch / f"{name}.jsonl"
    with copy.open("w", encoding="utf-8") as file:
        lines = read_lines([data / "sequences" / f"{name}.jsonl.gz"])
        for record in map(json.loads, islice(lines, _TRACES)):
            file.write(json.dumps({"id": record["id"], "events": record["events"]}) + "\n")
    return TrainConfig((copy,), scratch / name, quiet=True)


def recorded(name: str, config: TrainConfig, model: Model) -> Recorded:
    """The streams of the set, all of them."""
    lines = None
    if model.config.events.format == "sequences":
        corpus = read_sequences(read_lines(config.logs))
    else:
        lines = list(read_lines(config.logs))
        corpus = read_corpus(lines, EventParser(model.config.events, model.templates))
    bounds = [0]
    for length in corpus.lengths().tolist():
        begin = bounds[-1]
        bounds += [begin + at for at in (*range(_PIECE, length, _PIECE), length)]
    ids = np.asarray(corpus.event, dtype=np.int64)
    return Recorded(name, list(corpus.names), ids, np.array(bounds, dtype=np.int64), lines)


def shuffled(n: int, rng: np.random.Generator) -> Iterator[int]:
    """All numbers below `n` in a random order, then all in another one, without end."""
    while True:
        yield from rng.permutation(n).tolist()


def traffic(
    source: Recorded, live: int, size: int, *, idle_seconds: float, seed: int
) -> Iterator[Piece]:
    """Pieces of `size` events, without end.

    The live streams take turns, in a new random order every round. One that is over is followed by
    another, under a key of its own; they begin at different places. No recorded stream comes again
    before all have come. A round takes a quarter of the idle time, so that no stream ends by
    silence.
    """
    rng = np.random.default_rng(seed)
    coming = shuffled(len(source.bounds) - 1, rng)
    which = np.fromiter(coming, np.int64, live)
    at = source.bounds[which] + rng.integers(0, np.diff(source.bounds)[which])
    keys = [f"{slot}.0" for slot in range(live)]
    number = 0
    moment = 1.7e9  # in the past: a time to come would be taken for a wrong clock
    stream: list[str] = []
    name: list[str] = []
    times: list[float] = []
    while True:
        order = rng.permutation(live)
        stream += [keys[slot] for slot in order.tolist()]
        name += [source.names[i] for i in source.ids[at[order]].tolist()]
        times += [moment] * live
        at += 1
        for slot in np.flatnonzero(at == source.bounds[which + 1]).tolist():
            number += 1
            which[slot] = next(coming)
            at[slot] = source.bounds[which[slot]]
            keys[slot] = f"{slot}.{number}"
        moment += idle_seconds / 4.0
        done = len(stream) // size * size
        for begin in range(0, done, size):
            cut = slice(begin, begin + size)
            yield Piece(stream[cut], name[cut], np.array(times[cut], dtype=np.float64))
        del stream[:done], name[:done], times[:done]
