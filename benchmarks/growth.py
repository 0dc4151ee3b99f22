"""How the cost of an event grows: with window, heads, width, vocabulary, layers, streams, threads.

One size is changed at a time; the others are those of the default preset with a vocabulary of 128
and a thousand live streams that take turns. The decoders are not trained and the events are drawn
at random, rare kinds seldom: what an event costs does not depend on what was learned, and as no
context comes twice, every one is computed. `microseconds_per_event` is of one core, beside it the
same decoder in PyTorch with keys and values kept (`torch_incremental`), in the same turn;
`events_per_second` is of so many threads together, each with a thousand streams of its own.
Values are medians over turns, with the least and the largest. Writes docs/growth.svg, too.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ..model.config import DecoderConfig, ModelConfig, StreamConfig, preset
from ..model.decoder import Decoder
from ..model.detector import Detector
from ..model.event import EventConfig
from ..model.folder import Model
from ..model.vocabulary import SPECIAL, Vocabulary
from ..training.batches import Sequences
from ..training.fit import Fitted, bare_model
from .growth_figure import draw
from .results import FOLDER as RESULTS
from .results import HERE, Row, row_of_turns, run_results, write_results
from .serving_peers import events_per_second, incremental
from .serving_scorer import LIVE_BYTES, SIZE, alone, feed
from .serving_traffic import Recorded, traffic

FIGURE = HERE.parent / "docs" / "growth.svg"
D_VOCAB = 128
LIVE = 1_000
DECODERS = {
    "window": (8, 16, 32, 64, 96),
    "heads": (1, 2, 4, 8, 16),
    "width": (32, 64, 128, 256, 512),
    "vocabulary": (32, 128, 512, 2_000),
    "layers": (0, 1, 2),
}
STREAMS = (1, 100, 1_000, 100_000)
TURNS = 5
EVENTS = 40_000  # of a turn
STEPS = 20  # events of each stream in a turn of the peer
_LONG = 2_000  # events of a stream: few begin
_MADE = 200  # streams


def changed(what: str, value: int) -> DecoderConfig:
    """The default decoder with one of its sizes, `what` of `DECODERS`, changed."""
    base = preset("tiny", D_VOCAB)
    field = {"heads": "n_heads", "width": "d_model", "vocabulary": "d_vocab", "layers": "n_layers"}
    return replace(base, **{field.get(what, what): value})


def untrained(size: DecoderConfig, seed: int) -> Model:
    """A model of that size that scores and raises no alert."""
    torch.manual_seed(seed)
    names = tuple(f"event-{number}" for number in range(size.d_vocab - len(SPECIAL)))
    vocabulary = Vocabulary((*SPECIAL, *names), (1,) * size.d_vocab)
    config = ModelConfig(size, EventConfig(format="sequences"), StreamConfig())
    weights = Decoder(size).weights()
    fitted = Fitted(
        config,
        vocabulary,
        weights,
        Sequences.of([]),
        new_mass=0.0,
        loss=math.nan,
        steps=0,
        tokens=0,
        seconds=0.0,
    )
    return bare_model(fitted, [])


def drawn(model: Model, seed: int) -> Recorded:
    """Streams of events of the model's vocabulary, the k-th kind with a chance that goes as 1/k."""
    names = list(model.vocabulary.names[len(SPECIAL) :])
    chance = 1.0 / np.arange(1, len(names) + 1)
    rng = np.random.default_rng(seed)
    ids = rng.choice(len(names), _MADE * _LONG, p=chance / chance.sum())
    return Recorded("drawn", names, ids, np.arange(0, len(ids) + 1, _LONG), None)


def of_decoders(what: str, *, turns: int, events: int, seed: int) -> Iterator[Row]:
    """What an event costs with each value of one size, ours and PyTorch's, turn by turn."""
    for value in DECODERS[what]:
        model = untrained(changed(what, value), seed)
        source, peer = drawn(model, seed), incremental(model)
        ours, theirs = list[float](), list[float]()
        for _ in range(turns):
            ours += _speeds(source, model, LIVE, turns=1, events=events)
            theirs.append(events_per_second(peer, model, source, steps=STEPS))
        data = f"{what}_{value}"
        yield _cost(data, "offscript", ours)
        yield _cost(data, "torch_incremental", theirs)
        ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
        yield row_of_turns(data, "torch_incremental", "untrained", "times_theirs", ratios)


def of_streams(*, turns: int, events: int, seed: int) -> Iterator[Row]:
    """What an event costs with so many live streams."""
    model = untrained(preset("tiny", D_VOCAB), seed)
    source = drawn(model, seed)
    for live in STREAMS:
        speeds = _speeds(source, model, live, turns=turns, events=events)
        yield _cost(f"streams_{live}", "offscript", speeds)


def of_threads(*, turns: int, events: int, seed: int) -> Iterator[Row]:
    """Events a second of one thread, two, four, … on as many cores as there are."""
    model = untrained(preset("tiny", D_VOCAB), seed)
    source = drawn(model, seed)
    idle = model.config.streams.idle_seconds
    threads = 1
    while threads <= len(os.sched_getaffinity(0)):
        detectors = [Detector(model, live_bytes=LIVE_BYTES, known_bytes=0) for _ in range(threads)]
        coming = [
            traffic(source, LIVE, SIZE, idle_seconds=idle, seed=seed + number)
            for number in range(threads)
        ]
        speeds = []
        for turn in range(turns + 1):
            size = events if turn else (model.config.decoder.window + 2) * LIVE
            pieces = [list(islice(one, -(-size // SIZE))) for one in coming]
            began = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(feed, detectors, pieces))  # which raises what one of them does
            if turn:  # the first one fills the windows
                took = time.perf_counter() - began
                speeds.append(threads * len(pieces[0]) * SIZE / took)
        yield row_of_turns(
            f"threads_{threads}", "offscript", "untrained", "events_per_second", speeds
        )
        threads *= 2


def _speeds(source: Recorded, model: Model, live: int, *, turns: int, events: int) -> list[float]:
    return alone(source, model, live, turns=turns, events=events, known_bytes=0).speeds


def _cost(data: str, method: str, speeds: Sequence[float]) -> Row:
    costs = [1e6 / speed for speed in speeds]
    return row_of_turns(data, method, "untrained", "microseconds_per_event", costs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all, and write results/growth.json and the figure."""
    parser = argparse.ArgumentParser(description="How the cost of an event grows.")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"how many ({TURNS})")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"of a turn ({EVENTS})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of growth.json")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where growth.svg goes")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    size = {"turns": options.turns, "events": options.events, "seed": 0}
    rows = list[Row]()
    for what in DECODERS:
        rows += _said(of_decoders(what, **size))
    rows += _said(of_streams(**size))
    rows += _said(of_threads(**size))
    results = run_results("growth", rows, seed=0, seconds=time.perf_counter() - began)
    print(write_results(results, options.results))
    options.figure.write_text(draw(results), encoding="utf-8")


def _said(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        print(f"  {row.dataset} {row.method} {row.measure} {row.value:.4g}", flush=True)
        yield row


if __name__ == "__main__":
    main()
