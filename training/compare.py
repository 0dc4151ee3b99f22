"""The same streams under two models: which raise an alert under one only, and how scores move."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..interpret.sample import read_windows
from ..model.errors import InputError
from ..model.folder import Model
from ..model.logs import STANDARD_INPUT
from ..model.vocabulary import END, NEW, START
from .corpus import read_as
from .evaluate import scores_of
from .held_out import Stream, block_statistics, statistics_of
from .partition import judged


@dataclass(frozen=True)
class Judgement:
    """One stream under two models; scores and thresholds in nats."""

    stream: str
    before: float
    after: float
    threshold_before: float
    threshold_after: float

    @property
    def alert_before(self) -> bool:
        return self.before > self.threshold_before

    @property
    def alert_after(self) -> bool:
        return self.after > self.threshold_after

    @property
    def moved(self) -> float:
        """By how much the score rose; nothing if neither model had anything to judge."""
        return 0.0 if self.before == self.after else self.after - self.before


@dataclass(frozen=True)
class Shift:
    """What changes for streams when one model takes the place of another."""

    judgements: tuple[Judgement, ...]
    rate_before: float  # false alerts a stream that the thresholds allow
    rate_after: float

    def to_json(self) -> dict[str, Any]:
        """A JSON value; the score of a stream in which nothing was to judge is null."""
        value = asdict(self)
        for judgement in value["judgements"]:
            for name in ("before", "after"):
                if not math.isfinite(judgement[name]):
                    judgement[name] = None
        return value

    def appeared(self) -> list[Judgement]:
        """Streams that alert only after; highest first."""
        found = [each for each in self.judgements if each.alert_after and not each.alert_before]
        return sorted(found, key=lambda each: -each.after)

    def vanished(self) -> list[Judgement]:
        """Streams that alert only before; highest first."""
        found = [each for each in self.judgements if each.alert_before and not each.alert_after]
        return sorted(found, key=lambda each: -each.before)


def kept_streams(model: Model) -> list[Stream]:
    """The held-out windows of a model folder as streams, named by their numbers.

    A window that begins or ends within its stream is a stream that was joined, or goes on.
    """
    streams = []
    for number, window in enumerate(read_windows(model.reference)):
        ended = bool(window[-1] == END)
        events = window[1 : len(window) - ended].tolist()
        names = [None if token == NEW else model.vocabulary.names[token] for token in events]
        if names:
            times = np.full(len(names), np.nan)
            key = f"window {number}"
            streams.append(Stream(names, times, bool(window[0] == START), ended, key))
    return streams


def logged_streams(
    model: Model,
    logs: Sequence[Path],
    *,
    seconds: float = math.inf,
    split: Callable[[str | None], bool] = lambda _: True,
) -> list[Stream]:
    """The streams of logs, as the model reads them; only those that ended in the last `seconds`,
    and whose `split`, None where a stream does not say, is one that is wanted.
    """
    corpus = read_as(model, logs)
    corpus = corpus.select([i for i, each in enumerate(corpus.splits) if split(each)])
    if not len(corpus):
        raise InputError("no stream is left to judge; check the logs and what they are split into")
    if corpus.timed and not model.config.streams.endless:
        last = corpus.last_times()
        corpus = corpus.select(np.flatnonzero(~(last < np.nanmax(last) - seconds)))
    complete = model.config.events.format == "sequences"
    return judged(corpus, model.config.streams, complete=complete)


def compare(
    before: Model,
    after: Model,
    logs: Sequence[Path],
    *,
    seconds: float = math.inf,
    without: Collection[str] = (),
    split: Callable[[str | None], bool] = lambda _: True,
) -> Shift | None:
    """Both models on the streams of `logs`, or without any on the windows that `before` keeps.

    Of logs only the streams that ended in the last `seconds`, of a `split` that is wanted, and none
    of those in `without`.
    Endless logs are judged by blocks of time; None without a log, as windows have no times.
    """
    old, new = before.config.streams, after.config.streams
    if (old.endless, old.block_seconds) != (new.endless, new.block_seconds):
        raise InputError(
            "one model judges streams and the other blocks of time, or their blocks differ in "
            "length; read the card of each instead"
        )
    if STANDARD_INPUT in logs:
        raise InputError(
            "each of two models reads the log, and standard input can be read but once; write it "
            "to a file and give that"
        )
    if logs:
        scores = [
            _scores(model, logged_streams(model, logs, seconds=seconds, split=split))
            for model in (before, after)
        ]
    elif old.endless:
        return None
    else:
        scores = [_scores(model, kept_streams(before)) for model in (before, after)]
    shared = [key for key in scores[0] if key in scores[1] and key not in without]
    if not shared:
        raise InputError(
            "the two models find no stream in common; give a log that both read, or compare models "
            "with the same --stream-key"
        )
    judgements = []
    for key in shared:
        (score, threshold), (later, its_threshold) = scores[0][key], scores[1][key]
        judgements.append(Judgement(key, score, later, threshold, its_threshold))
    return Shift(tuple(judgements), before.calibration.rate, after.calibration.rate)


def _scores(model: Model, streams: Sequence[Stream]) -> dict[str, tuple[float, float]]:
    """Score and threshold by stream, or by block of an endless one."""
    if model.config.streams.endless:
        statistics = block_statistics(model, streams)
        keys = [f"block {number}" for number in range(len(statistics.values))]
    else:
        statistics = statistics_of(model, streams)
        keys = [stream.key for stream in streams]
    scored = scores_of(model, statistics)
    values = scored.by_method["offscript"].tolist(), scored.thresholds.tolist()
    return dict(zip(keys, zip(*values, strict=True), strict=True))
