"""From logs to a model folder: read, learn templates, fit, calibrate, save."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..interpret.contexts import fit_contexts
from ..interpret.golden import golden_scores
from ..interpret.reference import fit_reference
from ..interpret.sample import draw_windows, read_windows
from ..interpret.skips import fit_skips
from ..interpret.window import receptive_field
from ..model.calibration import Calibration, conformal_threshold
from ..model.config import StreamConfig
from ..model.event import EventConfig
from ..model.folder import Model, save_model
from ..model.templates import Templates
from .budget import A_DAY, FEW_BLOCKS, Budget, Size, parse_budget, supported
from .calibrate import least_count_scale
from .config import TrainConfig
from .corpus import Corpus
from .fit import bare_model
from .folds import Data, Fits, Learned, checkpoint_of, checkpoints_of, learn
from .held_out import Stream, tokens_of, units_of
from .outliers import set_apart
from .partition import (
    block_seconds,
    days_of,
    endless_parts,
    judged,
    partition,
    span,
    stream_config,
)
from .report import (
    what_is_budgeted,
    what_looks_like_a_habit,
    what_teaches_nothing,
    what_was_read,
    what_was_set_apart,
    when_streams_end,
)
from .review import Record, oddest, write_list
from .sensitivity import calibrate_to_see, noticed, sentence, warning
from .source import Source, check, event_config, read
from .team import leads, team

_MOST_RATE = 0.5  # false alerts a stream or block, whatever the budget
_MOST_UNKEYED = 0.5  # share of the lines


def train_model(config: TrainConfig, report: Callable[[str], None] = print) -> Model:
    """Train on normal logs and write the model folder; `report` gets a line at each step.

    Of several processes that torchrun started, the first one writes and reports.
    """
    with team(config.device) as device:
        if not leads():
            return _trained(replace(config, device=device, quiet=True), _silent)[0]
        model, listed, warned = _trained(replace(config, device=device), report)
        write_list(config, listed, report)
        model = save_model(model, config.out)
        for path in checkpoints_of(config):
            path.unlink()
    report(f"model written to {config.out} in {model.summary['train_seconds']:.0f} s")
    if warned is not None:
        report(warned)
    return model


def _trained(
    config: TrainConfig, report: Callable[[str], None]
) -> tuple[Model, list[Record], str | None]:
    """The model, the oddest streams for somebody to judge, and what makes the model useless."""
    began = time.perf_counter()
    budget = parse_budget(config.budget) if config.budget else None
    # Beside the model, where there is room for what is large: /tmp is often in memory.
    config.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".offscript-", dir=config.out.parent) as scratch:
        source = Source(config.logs, Path(scratch))
        events = event_config(config, source, report)
        parser, corpus = read(config, source, events, budget)
    check(config, source, corpus)
    report(what_was_read(corpus, source.lines))
    if corpus.unkeyed > _MOST_UNKEYED * source.lines:
        report(what_teaches_nothing(corpus, source.lines))
    data = _divided(config, corpus, events, budget)
    report(when_streams_end(data))
    # Said before the minutes of fitting, not after them.
    size = _size(data.streams, data.held, days_of(corpus) / len(corpus))
    wish, rate = _budget(budget, data.streams, size)
    unit = "block" if data.streams.endless else "stream"
    report(what_is_budgeted(wish, rate, size, unit, asked=budget is not None))
    learned = learn(Fits(config, events, data, checkpoint_of(config)), report)
    model = bare_model(learned.fitted, learned.fit)
    held, values = learned.held, learned.held.whole.values
    apart = np.zeros(len(values), np.bool_)
    keys = [] if data.streams.endless else [stream.key for stream in data.calibrating]
    if not config.keep_outliers:
        known = np.zeros(len(apart), np.bool_)
        known[: len(keys)] = [key in config.normal for key in keys]
        scale = least_count_scale(model)
        held, apart, habit = set_apart(held, data.calibrating, count_scale=scale, normal=known)
        if habit.any():
            report(what_looks_like_a_habit(habit, keys, unit))
    if apart.any():
        report(what_was_set_apart(apart, unit))
        least = 1.0 / (len(held.whole.values) + 1)
        if rate < least:
            before, wish, rate = wish, wish.scaled(least / rate), least
            report(f"budget: {wish} instead of {before}, the smallest that the others support")
    normal = data.held if data.streams.endless else list(compress(data.calibrating, ~apart))
    asked, seed = budget is not None, config.seed
    calibration, said, wider = calibrate_to_see(
        model, held, normal, wish, rate, asked=asked, seed=seed
    )
    if said is not None:
        report(said)
    learned = replace(learned, held=held)
    model = _calibrated(config, model, data, learned, parser.templates, calibration)
    model = replace(model, held={**model.held, "apart": apart.astype(np.uint8)})
    found = noticed(model, normal, seed=seed)
    report(sentence(found))
    summary = {
        **_summary(config, corpus, data, learned, began),
        "sensitivity": [asdict(one) for one in found],
    }
    model = replace(model, summary=summary)
    warned = warning(model, found, wider)
    if data.streams.endless:
        return model, [], warned
    every = data.fit if data.folds else data.fit + data.held
    listed = oddest(model, values, data.calibrating, apart, every=every, normal=config.normal)
    return model, listed, warned


def _silent(_: str) -> None:
    """Only the first of several processes reports."""


def _divided(
    config: TrainConfig, corpus: Corpus, events: EventConfig, budget: Budget | None
) -> Data:
    if config.endless or (events.stream_key is None and events.format != "sequences"):
        fit, held = endless_parts(corpus)
        seconds = block_seconds(held)
        return Data(StreamConfig(endless=True, idle_seconds=0.0, block_seconds=seconds), fit, held)
    split = partition(corpus, budget, newest=config.newest)
    complete = config.complete or events.format == "sequences"
    streams = stream_config(corpus, split.fit, idle_seconds=config.idle_seconds)
    every = judged(corpus, streams, complete=complete)
    fit, held = [every[i] for i in split.fit], [every[i] for i in split.held]
    return Data(streams, fit, held, split.folds)


def _size(streams: StreamConfig, held: Sequence[Stream], days_a_stream: float) -> Size:
    """What is held out, in streams or, of endless ones, in blocks."""
    events = sum(len(stream.names) for stream in held)
    if not streams.endless:
        return Size(len(held), events, days_a_stream * len(held))
    seconds = sum(span(s.times) for s in held)
    return Size(len(units_of(held, streams)), events, seconds / 86_400)


def _budget(budget: Budget | None, streams: StreamConfig, size: Size) -> tuple[Budget, float]:
    """The budget that this size supports, and its rate a stream (endless: a block)."""
    wish = supported(budget or (_a_day(size) if streams.endless else None), size)
    return wish, min(wish.rate(size), _MOST_RATE)


def _a_day(size: Size) -> Budget:
    """One false alert a day; more if the data supports no less, less where blocks are few a day."""
    rate = A_DAY.rate(size)
    return A_DAY.scaled(max(1.0 / (rate * (size.streams + 1)), min(1.0, FEW_BLOCKS / rate)))


def _calibrated(
    config: TrainConfig,
    model: Model,
    data: Data,
    learned: Learned,
    templates: Templates,
    calibration: Calibration,
) -> Model:
    """The model with its thresholds, and what else its folder holds."""
    scores, rate = learned.ngram_scores, calibration.rate
    # Of an endless stream the baseline makes one score, and nothing can be ranked.
    limit = conformal_threshold(scores, rate) if rate * (len(scores) + 1) >= 1.0 else math.inf
    baseline: dict[str, NDArray[np.generic]] = {
        **learned.ngram.arrays(),
        "threshold": np.array([limit]),
    }
    return replace(
        model,
        templates=templates,
        calibration=calibration,
        held={
            "whole": learned.held.whole.values.astype(np.float32),
            "joined": learned.held.joined.values.astype(np.float32),
        },
        reference=_reference(config, data, learned),
        baseline=baseline,
        history=_history(data, learned),
    )


def _reference(config: TrainConfig, data: Data, learned: Learned) -> dict[str, NDArray[np.generic]]:
    """What explanations need of the training data, and the card of circuits of held-out data."""
    weights, known = learned.fitted.weights, learned.fitted.sequences
    held = [tokens_of(learned.fitted.vocabulary, stream) for stream in data.held]
    reference = fit_reference(weights, known.tokens, known.counts, seed=config.seed)
    windows = draw_windows(weights, held, seed=config.seed)
    golden = golden_scores(weights, read_windows(windows))
    arrays = {**reference, **windows, "surprisals": golden}
    skips = fit_skips(weights, arrays, known.tokens, known.counts)
    reach = receptive_field(weights) - 1
    contexts = fit_contexts(arrays, known.tokens, known.counts, reach=reach)
    return {**arrays, **skips, **contexts}


def _history(data: Data, learned: Learned) -> dict[str, Any]:
    """The decoder as it trained; with folds the control has other events than the one served."""
    watch, stages = learned.fitted.watch, learned.fitted.stages
    assert watch is not None  # it has the held-out streams
    return watch.history(stages, None if data.folds else learned.baselines.control)


def _summary(
    config: TrainConfig, corpus: Corpus, data: Data, learned: Learned, began: float
) -> dict[str, Any]:
    one_layer = learned.baselines.one_layer_loss
    return {
        "streams": len(corpus),
        "events": len(corpus.event),
        "fitted": len(data.fit),
        "calibrated": len(learned.held.whole.values),
        "folds": len(data.folds),
        "budget": config.budget,
        "preset": config.preset,
        "seed": config.seed,
        "losses": {
            "decoder": learned.loss,
            "control": learned.baselines.control_loss,
            "ngram": learned.baselines.ngram_loss,
            **({} if one_layer is None else {"one_layer": one_layer}),
        },
        "ngram_order": learned.ngram.order,
        "steps": learned.fitted.steps,
        "train_seconds": round(time.perf_counter() - began, 2),
        "train_tokens_per_second": round(learned.tokens_per_second),
        "torch": torch.__version__,
    }
