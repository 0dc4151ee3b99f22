"""From logs to a model folder: read, learn templates, fit, calibrate, save."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..interpret.reference import fit_reference
from ..model.calibration import Calibration, Threshold, conformal_threshold
from ..model.config import ModelConfig, StreamConfig, preset
from ..model.folder import Model, save_model
from ..model.templates import Templates
from .budget import Budget, Size, parse_budget
from .calibrate import (
    Stream,
    block_statistics,
    calibrate,
    cropped,
    drift_kappa,
    statistics_of,
    supported,
    tokens_of,
)
from .config import TrainConfig
from .corpus import Corpus
from .fit import Fitted, count_vectors, fit, learn_vocabulary
from .partition import block_seconds, days_of, endless_parts, judged, partition, stream_config
from .source import Source, check, event_config, read

_MOST_RATE = 0.5  # false alerts a stream or block, whatever the budget
_FEW_BLOCKS = 0.01  # share of the blocks of an endless stream that may raise a false alert


def train_model(config: TrainConfig, report: Callable[[str], None] = print) -> Model:
    """Train on normal logs and write the model folder; `report` gets a line at each step."""
    began = time.perf_counter()
    budget = parse_budget(config.budget) if config.budget else None
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(config.logs, Path(scratch))
        events = event_config(config, source, report)
        parser, corpus = read(config, source, events, budget)
    check(config, source, corpus)
    report(_what_was_read(corpus, source.lines))
    if config.endless or (events.stream_key is None and events.format != "sequences"):
        parts = endless_parts(corpus)
        streams = StreamConfig(
            endless=True, idle_seconds=0.0, block_seconds=block_seconds(parts[2])
        )
    else:
        split = partition(corpus, budget, newest=config.newest)
        complete = config.complete or events.format == "sequences"
        streams = stream_config(corpus, split.fit, idle_seconds=config.idle_seconds)
        every = judged(corpus, streams, complete=complete)
        parts = (
            [every[i] for i in split.fit],
            [every[i] for i in split.tails],
            [every[i] for i in split.ranks],
        )
    report(_when_streams_end(streams, parts))
    # Said before the minutes of fitting, not after them.
    wish, rate = _budget(budget, streams, parts[2], days_of(corpus) / len(corpus))
    report(f"budget: {wish} ({rate:.2g} false alerts a {'block' if streams.endless else 'stream'})")
    vocabulary, new_mass = learn_vocabulary(parts[0])
    decoder = preset(config.preset, len(vocabulary))
    if config.layers is not None:
        decoder = replace(decoder, n_layers=config.layers)
    model_config = ModelConfig(decoder, events, streams)
    fitted = fit(
        config,
        model_config,
        vocabulary,
        new_mass,
        parts,
        checkpoint=_checkpoint(config.out),
        report=report,
    )
    model = _calibrated(config, fitted, parser.templates, parts, wish, rate)
    model = replace(model, summary=_summary(config, corpus, parts, fitted, began))
    saved = save_model(model, config.out)
    _checkpoint(config.out).unlink(missing_ok=True)
    report(f"model written to {config.out} in {time.perf_counter() - began:.0f} s")
    return saved


def _budget(
    budget: Budget | None, streams: StreamConfig, ranks: Sequence[Stream], days_a_stream: float
) -> tuple[Budget, float]:
    """The budget that `ranks` supports, and its rate a stream (endless: a block)."""
    events = sum(len(stream.names) for stream in ranks)
    if not streams.endless:
        size = Size(len(ranks), events, days_a_stream * len(ranks))
    else:
        seconds = sum(float(s.times[-1] - s.times[0]) for s in ranks)
        blocks = sum(len(np.unique(np.floor(s.times / streams.block_seconds))) for s in ranks)
        size = Size(blocks, events, seconds / 86_400)
        budget = budget or _a_day(size)
    wish = supported(budget, size)
    return wish, min(wish.rate(size), _MOST_RATE)


def _a_day(size: Size) -> Budget:
    """One false alert a day; more if the data supports no less, less where blocks are few a day."""
    day = Budget(1, 1, "day")
    rate = day.rate(size)
    return day.scaled(max(1.0 / (rate * (size.streams + 1)), min(1.0, _FEW_BLOCKS / rate)))


def _calibrated(
    config: TrainConfig,
    fitted: Fitted,
    templates: Templates,
    parts: tuple[list[Stream], list[Stream], list[Stream]],
    budget: Budget,
    rate: float,
) -> Model:
    """The model with its threshold, set with the scorer that will serve."""
    nothing = Threshold({}, math.inf, 0)
    reference = fit_reference(fitted.weights, fitted.sequences.tokens, seed=config.seed)
    model = Model(
        sha256="",
        config=fitted.config,
        weights=fitted.weights,
        vocabulary=fitted.vocabulary,
        templates=templates,
        calibration=Calibration(0.0, str(budget), rate, nothing, nothing),
        count_vectors=count_vectors(fitted.vocabulary, parts[0], fitted.config.streams),
        reference=reference,
        baseline={},
        summary={},
    )
    _, tails, ranks = parts
    kappa = drift_kappa(model, tails)
    model = replace(model, calibration=replace(model.calibration, kappa=kappa))
    if fitted.config.streams.endless:
        of_tails, of_ranks = block_statistics(model, tails), block_statistics(model, ranks)
        calibration = calibrate(
            model, (of_tails, of_tails), (of_ranks, of_ranks), budget=budget, rate=rate
        )
        worst = np.zeros(0)
    else:
        rng = np.random.default_rng(config.seed)
        calibration = calibrate(
            model,
            (statistics_of(model, tails), statistics_of(model, cropped(tails, rng))),
            (statistics_of(model, ranks), statistics_of(model, cropped(ranks, rng))),
            budget=budget,
            rate=rate,
        )
        sequences = [tokens_of(fitted.vocabulary, stream) for stream in ranks]
        worst = np.array([s.max() for s in fitted.ngram.surprisals(sequences)])
    limit = conformal_threshold(worst, rate) if len(worst) else math.inf
    baseline: dict[str, NDArray[np.generic]] = {
        **fitted.ngram.arrays(),
        "threshold": np.array([limit]),
    }
    return replace(model, calibration=calibration, baseline=baseline)


def _checkpoint(out: Path) -> Path:
    """Beside the model folder, which appears only when it is complete."""
    return out.with_name(f".{out.name}.checkpoint")


def _what_was_read(corpus: Corpus, lines: int) -> str:
    text = f"read {lines:,} lines: {len(corpus.event):,} events in {len(corpus):,} streams"
    if corpus.unkeyed:
        text += f"; {corpus.unkeyed:,} lines without a stream key"
    if corpus.continuations:
        text += f"; {corpus.continuations:,} lines that go on with the record before"
    return text


def _when_streams_end(
    streams: StreamConfig, parts: tuple[list[Stream], list[Stream], list[Stream]]
) -> str:
    if streams.endless:
        return f"one endless stream, scored in blocks of {streams.block_seconds:g} s"
    ended = sum(stream.ended for part in parts for stream in part)
    total = sum(len(part) for part in parts)
    text = f"{ended:,} of {total:,} streams end within the recording"
    if streams.idle_seconds > 0:
        text += (
            f"; in service a stream has ended after {_duration(streams.idle_seconds)} of silence"
        )
    if ended < 0.1 * total:
        text += " (give --complete if all of them do, or --idle SECONDS)"
    return text


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _summary(
    config: TrainConfig,
    corpus: Corpus,
    parts: tuple[list[Stream], list[Stream], list[Stream]],
    fitted: Fitted,
    began: float,
) -> dict[str, Any]:
    return {
        "streams": len(corpus),
        "events": len(corpus.event),
        "parts": [len(part) for part in parts],
        "preset": config.preset,
        "seed": config.seed,
        "losses": fitted.losses,
        "ngram_order": fitted.ngram.order,
        "steps": fitted.steps,
        "train_seconds": round(time.perf_counter() - began, 2),
        "train_tokens_per_second": round(fitted.tokens_per_second),
        "torch": torch.__version__,
    }
