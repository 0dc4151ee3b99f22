"""Logs as a training reads them: several times, templates learned on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress, islice
from pathlib import Path

import numpy as np

from ..model.errors import InputError
from ..model.event import EventConfig, EventParser
from ..model.logs import STANDARD_INPUT, read_lines
from ..model.templates import Templates
from .budget import Budget
from .config import TrainConfig
from .corpus import Corpus, read_corpus, read_sequences
from .partition import FEWEST, fitted_lines, partition
from .propose import discover, explain_no_match, propose_stream_key

_SAMPLE = 20_000  # lines looked at to find out what a log is like
_CHUNK = 65_536


class Source:
    """Logs that can be read several times; standard input is kept in a file for that."""

    def __init__(self, logs: Sequence[Path], scratch: Path) -> None:
        if not logs:
            raise InputError("no logs were given; name files, or - for standard input")
        self._paths = list(logs)
        self.scratch = scratch
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


def event_config(config: TrainConfig, source: Source, report: Callable[[str], None]) -> EventConfig:
    """How events are to be read: as asked for, the rest found out from the first lines."""
    sample = source.sample()
    auto = config.stream_key == "auto"
    events = _discovered(config, sample, None if auto else config.stream_key)
    if auto and events.format != "sequences":
        # A log that goes on past its first lines may have more streams than these.
        fewest = FEWEST if len(sample) < _SAMPLE and not config.endless else 2
        candidates = propose_stream_key(sample, events, fewest=fewest)
        if not candidates:
            raise InputError(
                "no stream key was found in the log; give one with --stream-key, or none for one "
                "endless stream"
            )
        best = candidates[0]
        if best.streams < fewest:
            raise InputError(
                f"no stream key was found that gives {fewest} streams, as many as are needed, and "
                f"the best is {best}; give more of the log, or no stream key if it is one endless "
                "stream"
            )
        report(
            f"stream key: {best.key} ({best.streams:,} streams in the first {len(sample):,} lines, "
            f"for example {best.example})"
        )
        events = replace(events, stream_key=best.key)
    return events


def _discovered(config: TrainConfig, sample: list[str], stream_key: str | None) -> EventConfig:
    return discover(
        sample,
        stream_key=stream_key,
        event=config.event,
        message=config.message,
        time=config.time,
        format=config.format,
        masks=config.masks,
    )


def read(
    config: TrainConfig, source: Source, events: EventConfig, budget: Budget | None
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
        first = read_corpus(source(), parser, source.scratch)
        check(config, source, first)
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
    return parser, _without(read_corpus(source(), parser, source.scratch), config)


def _texts(parser: EventParser, lines: Iterable[str]) -> Iterator[str]:
    iterator = iter(lines)
    while chunk := list(islice(iterator, _CHUNK)):
        yield from parser.texts(chunk)


def _without(corpus: Corpus, config: TrainConfig) -> Corpus:
    if not config.exclude:
        return corpus
    return corpus.select([i for i, key in enumerate(corpus.streams) if key not in config.exclude])


def check(config: TrainConfig, source: Source, corpus: Corpus) -> None:
    """InputError if there is nothing to learn from, with what to do."""
    if len(corpus):
        return
    if config.stream_key is not None and corpus.unkeyed:
        sample = source.sample()
        events = _discovered(config, sample, None)
        raise InputError(explain_no_match(config.stream_key, sample, events))
    raise InputError(
        f"no stream is left to learn from ({len(config.exclude)} are excluded); give more logs"
    )
