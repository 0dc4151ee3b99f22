"""From logs to a model folder: read, learn templates, fit, calibrate, save."""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..interpret.reference import fit_reference
from ..model.calibration import Calibration, Threshold, conformal_threshold
from ..model.config import ModelConfig, StreamConfig, preset
from ..model.decoder import Decoder
from ..model.errors import InputError
from ..model.event import EventConfig, EventParser
from ..model.folder import Model, save_model
from ..model.logs import STANDARD_INPUT, read_lines
from ..model.templates import Templates
from ..model.vocabulary import NEW, PAST, SPECIAL, START, Vocabulary
from ..model.weights import Weights
from .batches import Sequences
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
from .corpus import Corpus, read_corpus, read_sequences
from .loop import LoopConfig, fit_decoder
from .ngram import NGram, choose_ngram
from .partition import (
    block_seconds,
    days_of,
    endless_parts,
    fitted_lines,
    judged,
    partition,
    stream_config,
)
from .propose import discover, explain_no_match, propose_stream_key

_SAMPLE = 20_000  # lines looked at to find out what a log is like
_MOST_EVENTS = 1996  # kinds of events in a vocabulary; rarer ones are `<new>`
_MOST_VECTORS = 4096  # count vectors of normal streams that are kept
_CHUNK = 65_536


@dataclass(frozen=True)
class TrainConfig:
    """What to learn from and where to put the model; None is found out from the data."""

    logs: tuple[Path, ...]
    out: Path
    stream_key: str | None = None  # regular expression or JSON field; "auto" proposes one
    format: str | None = None  # text, json or sequences
    event: tuple[str, ...] = ()  # JSON fields that make the event's name
    message: str | None = None  # JSON field with a raw line
    time: str | None = None  # JSON field of the time
    endless: bool = False  # streams never end, though they have a key
    complete: bool = False  # every stream begins and ends within these logs
    idle_seconds: float | None = None
    exclude: frozenset[str] = frozenset()  # streams to leave out
    split: str = "train"  # of records that say which split they belong to
    budget: str | None = None
    newest: bool = False  # calibrate on the newest streams instead of on ones drawn at random
    preset: str = "tiny"
    layers: int | None = None
    seed: int = 0
    device: str = "cpu"
    quiet: bool = False


def train_model(config: TrainConfig, report: Callable[[str], None] = print) -> Model:
    """Train on normal logs and write the model folder; `report` gets a line at each step."""
    began = time.perf_counter()
    budget = parse_budget(config.budget) if config.budget else None
    with tempfile.TemporaryDirectory() as scratch:
        source = _Source(config.logs, Path(scratch))
        events = _event_config(config, source, report)
        parser, corpus = _read(config, source, events, budget)
    _check(config, source, corpus)
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
        fit, tails, ranks = ([every[i] for i in p] for p in (split.fit, split.tails, split.ranks))
        parts = (fit, tails, ranks)
    report(_when_streams_end(streams, parts))
    # Said before the minutes of fitting, not after them.
    wish, rate = _budget(budget, streams, parts[2], days_of(corpus) / len(corpus))
    report(f"budget: {wish} ({rate:.2g} false alerts a {'block' if streams.endless else 'stream'})")
    vocabulary, new_mass = _vocabulary(parts[0])
    decoder = preset(config.preset, len(vocabulary))
    if config.layers is not None:
        decoder = replace(decoder, n_layers=config.layers)
    model_config = ModelConfig(decoder, events, streams)
    fitted = _fit(config, model_config, vocabulary, new_mass, parts, report)
    model = _calibrated(config, fitted, parser.templates, parts, wish, rate)
    model = replace(model, summary=_summary(config, corpus, parts, fitted, began))
    saved = save_model(model, config.out)
    _checkpoint(config.out).unlink(missing_ok=True)
    report(f"model written to {config.out} in {time.perf_counter() - began:.0f} s")
    return saved


class _Source:
    """Logs that can be read several times; standard input is kept in a file for that."""

    def __init__(self, logs: Sequence[Path], scratch: Path) -> None:
        if not logs:
            raise InputError("no logs were given; name files, or - for standard input")
        self._paths = list(logs)
        self.lines = 0
        if STANDARD_INPUT in self._paths:
            kept = scratch / "standard-input"
            with kept.open("w", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in read_lines([STANDARD_INPUT]))
            self._paths[self._paths.index(STANDARD_INPUT)] = kept

    def __call__(self) -> Iterator[str]:
        count = 0
        for line in read_lines(self._paths):
            count += 1
            yield line
        self.lines = count

    def sample(self) -> list[str]:
        return list(islice(read_lines(self._paths), _SAMPLE))


def _event_config(
    config: TrainConfig, source: _Source, report: Callable[[str], None]
) -> EventConfig:
    sample = source.sample()
    auto = config.stream_key == "auto"
    events = discover(
        sample,
        stream_key=None if auto else config.stream_key,
        event=config.event,
        message=config.message,
        time=config.time,
        format=config.format,
    )
    if auto and events.format != "sequences":
        candidates = propose_stream_key(sample, events)
        if not candidates:
            raise InputError(
                "no stream key was found in the log; give one with --stream-key, or none for one "
                "endless stream"
            )
        best = candidates[0]
        report(
            f"stream key: {best.key} ({best.streams:,} streams in the first {len(sample):,} lines, "
            f"for example {best.example})"
        )
        events = replace(events, stream_key=best.key)
    return events


def _read(
    config: TrainConfig, source: _Source, events: EventConfig, budget: Budget | None
) -> tuple[EventParser, Corpus]:
    """The corpus, with templates learned from the lines of the streams that are fitted.

    What the held-out streams bring that is new must be new to the templates too.
    """
    if events.format == "sequences":
        corpus = _without(read_sequences(source()), config)
        splits = [s is None or s == config.split for s in corpus.splits]
        return EventParser(events, Templates(())), corpus.select(np.flatnonzero(splits))
    parser = EventParser(events, Templates(()))
    if events.format == "text" or events.message is not None:
        first = read_corpus(source(), parser)
        _check(config, source, first)
        first = _without(first, config)
        if config.endless or events.stream_key is None:
            chosen = np.zeros(source.lines, dtype=np.bool_)
            chosen[: int(0.7 * source.lines)] = True
        else:
            chosen = fitted_lines(
                first, partition(first, budget, newest=config.newest).fit, source.lines
            )
        lines = compress(source(), chosen.tolist())
        parser = EventParser(events, Templates.learn(_texts(parser, lines)))
    return parser, _without(read_corpus(source(), parser), config)


def _texts(parser: EventParser, lines: Iterable[str]) -> Iterator[str]:
    iterator = iter(lines)
    while chunk := list(islice(iterator, _CHUNK)):
        yield from parser.texts(chunk)


def _without(corpus: Corpus, config: TrainConfig) -> Corpus:
    if not config.exclude:
        return corpus
    return corpus.select([i for i, key in enumerate(corpus.streams) if key not in config.exclude])


def _check(config: TrainConfig, source: _Source, corpus: Corpus) -> None:
    if len(corpus):
        return
    if config.stream_key is not None and corpus.unkeyed:
        raise InputError(explain_no_match(config.stream_key, source.sample()))
    raise InputError(
        f"no stream is left to learn from ({len(config.exclude)} are excluded); give more logs"
    )


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
        budget = budget or _smallest_a_day(size)
    wish = supported(budget, size)
    return wish, wish.rate(size)


def _smallest_a_day(size: Size) -> Budget:
    """The smallest number of false alerts a day that this data supports, at least one."""
    day = Budget(1, 1, "day")
    return day.scaled(max(1.0, 1.0 / (day.rate(size) * (size.streams + 1))))


def _vocabulary(fit: Sequence[Stream]) -> tuple[Vocabulary, float]:
    """Event names seen at least twice, and the Good-Turing mass N₁ / N of unseen ones."""
    counts: Counter[str | None] = Counter()
    for stream in fit:
        counts.update(stream.names)
    total = sum(counts.values())
    once = sum(1 for count in counts.values() if count == 1)
    kept = [(n, c) for n, c in counts.most_common() if n is not None and c > 1][:_MOST_EVENTS]
    if not kept:
        raise InputError(
            f"none of {len(counts)} kinds of events came twice; check --stream-key and --event: an "
            "event's name must not hold ids or free text"
        )
    ends = sum(stream.ended for stream in fit)
    begun = sum(stream.started for stream in fit)
    special = (begun, len(fit) - begun, ends, total - sum(count for _, count in kept))
    vocabulary = Vocabulary(
        (*SPECIAL, *(name for name, _ in kept)), (*special, *(count for _, count in kept))
    )
    return vocabulary, max(once, 1) / total


@dataclass(frozen=True)
class _Fitted:
    """What was fitted to the first part."""

    config: ModelConfig
    vocabulary: Vocabulary
    weights: Weights
    sequences: Sequences
    ngram: NGram
    losses: dict[str, float]  # held-out, nats per event
    tokens_per_second: float
    steps: int


def _fit(
    config: TrainConfig,
    model: ModelConfig,
    vocabulary: Vocabulary,
    new_mass: float,
    parts: tuple[list[Stream], list[Stream], list[Stream]],
    report: Callable[[str], None],
) -> _Fitted:
    train = Sequences.of([tokens_of(vocabulary, stream) for stream in parts[0]])
    held = Sequences.of([tokens_of(vocabulary, stream) for stream in parts[1]])
    report(
        f"vocabulary: {len(vocabulary) - len(SPECIAL)} kinds of events; "
        f"{len(train.tokens):,} distinct streams of {len(parts[0]):,}"
    )
    ngram, ngram_loss = choose_ngram(train, held, d_vocab=len(vocabulary))
    counts = np.array(vocabulary.counts, dtype=np.float64)
    counts[[START, PAST]] = 0.0  # never an outcome
    counts[NEW] = max(counts[NEW], new_mass * counts.sum())
    log_unigram = torch.from_numpy(np.log((counts + 0.1) / counts.sum())).float()
    # A few threads on matrices of this size wait for one another longer than they compute.
    torch.set_num_threads(1)
    losses: dict[str, float] = {}
    settings = LoopConfig(seed=config.seed, device=config.device)
    torch.manual_seed(config.seed)
    control, progress = fit_decoder(
        Decoder(replace(model.decoder, n_layers=0), log_unigram),
        train,
        held,
        replace(settings, epochs=12, least_steps=200, most_steps=1000),
        new_mass=new_mass,
        title="bigram control",
        quiet=config.quiet,
    )
    losses["control"] = progress.best_loss
    if model.decoder.n_layers == 0:
        weights = control
    else:
        torch.manual_seed(config.seed)
        weights, progress = fit_decoder(
            Decoder(model.decoder, log_unigram),
            train,
            held,
            settings,
            new_mass=new_mass,
            checkpoint=_checkpoint(config.out),
            title="decoder",
            quiet=config.quiet,
        )
    losses |= {"decoder": progress.best_loss, "ngram": ngram_loss}
    report(
        f"held-out loss in nats per event: decoder {losses['decoder']:.4f}, bigram control "
        f"{losses['control']:.4f}, {ngram.order}-gram {ngram_loss:.4f}"
    )
    speed = progress.tokens / max(progress.seconds, 1e-9)
    return _Fitted(model, vocabulary, weights, train, ngram, losses, speed, progress.best_step)


def _calibrated(
    config: TrainConfig,
    fitted: _Fitted,
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
        count_vectors=_count_vectors(fitted.vocabulary, parts[0], fitted.config.streams),
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


def _count_vectors(
    vocabulary: Vocabulary, fit: Sequence[Stream], streams: StreamConfig
) -> NDArray[np.float32]:
    """Distinct event counts of whole training streams, the most frequent ones first."""
    seen: Counter[bytes] = Counter()
    if not streams.endless:
        for stream in fit:
            if stream.started and stream.ended:
                ids = vocabulary.ids(stream.names)
                seen[np.bincount(ids, minlength=len(vocabulary)).astype(np.float32).tobytes()] += 1
    rows = [np.frombuffer(key, np.float32) for key, _ in seen.most_common(_MOST_VECTORS)]
    return np.array(rows, np.float32).reshape(-1, len(vocabulary))


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
    fitted: _Fitted,
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
