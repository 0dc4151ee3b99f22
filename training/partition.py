"""Which normal streams do what: fit the decoder, and calibrate it.

Where there are many, some are held out from fitting: drawn at random, then both are exchangeable,
which is what conformal prediction asks for, and the newest habits are learned too (on HDFS the
newest fifth ends its streams in a way that the oldest two thirds never show). `newest` holds out
the newest instead. Where there are few, all do both: they are split into folds, and each fold is
calibrated by a decoder that did not see it (cross-conformal; Vovk, 2015). Streams are judged here
too: whether their beginning and their end are in the recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from ..model.config import StreamConfig
from ..model.errors import InputError
from .budget import DEFAULT, Budget, Size
from .corpus import Corpus, streams_of
from .counted import counted
from .held_out import Stream

FEWEST = 20  # streams to learn from and to calibrate on
_HELD = 0.3  # share of the streams held out
_FOLDS = 4
_FEWEST_ALERTS = 10  # false alerts among held-out streams that make a threshold steady enough
_OPENS = 0.005  # share of the streams that an opening begins at the least
_FEW_OPENS = 10  # streams that say too little about the silence before an opening
_MISTAKEN = 0.001  # streams that would be taken for another's beginning, by those that begin so
_CLOCK = 1.0  # seconds: what times in logs are often rounded to
_SECONDS_A_DAY = 86_400.0
_BLOCKS = 400  # blocks of an endless stream that the threshold is set on, where events suffice
_EVENTS_A_BLOCK = 20


@dataclass(frozen=True)
class Partition:
    """Indexes of streams, oldest first; all are in both if each is calibrated by its fold."""

    fit: Int64[np.ndarray, " fit"]
    held: Int64[np.ndarray, " held"]
    folds: tuple[Int64[np.ndarray, "_"], ...] = ()

    def rounds(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Which streams are learned from to calibrate which: one round, or one for each fold."""
        if not self.folds:
            return [(self.fit, self.held)]
        return [(np.setdiff1d(self.fit, fold), fold) for fold in self.folds]


def days_of(corpus: Corpus) -> float:
    """Time between the first and the last event, in days; nan where events have no times."""
    if not corpus.timed:
        return math.nan
    return float(np.nanmax(corpus.time) - np.nanmin(corpus.time)) / _SECONDS_A_DAY


def partition(corpus: Corpus, budget: Budget | None, *, newest: bool) -> Partition:
    """30 % held out if these steady the threshold, else four folds; always the same draw."""
    n = len(corpus)
    if n < FEWEST:
        raise InputError(
            f"{counted(n, 'stream')} {'is' if n == 1 else 'are'} too few to learn from and to "
            f"calibrate on, at least {FEWEST} are needed; give more of the log, or no stream key "
            "if it is one endless stream"
        )
    order = np.arange(n) if newest else np.random.default_rng(0).permutation(n)
    rate = (budget or DEFAULT).rate(Size(n, len(corpus.event), days_of(corpus)))
    held = math.ceil(_HELD * n)
    if newest or rate * held >= _FEWEST_ALERTS:
        return Partition(np.sort(order[: n - held]), np.sort(order[n - held :]))
    folds = tuple(np.sort(fold) for fold in np.array_split(order, _FOLDS))
    return Partition(np.arange(n), np.arange(n), folds)


def stream_config(
    corpus: Corpus, fit: Int64[np.ndarray, " fit"], *, idle_seconds: float | None
) -> StreamConfig:
    """What streams open with, and after how much silence they have ended, from training streams.

    For each opening the silence is told that at most 1 in 1,000 streams show before one that is not
    their first: after a longer one it begins a stream. The idle time is one and a half times the
    longest pause of all but 1 in 2,000 streams: a pause that is taken for an end costs a false
    alert, a longer idle time only delays the `end` detector.
    """
    if idle_seconds is None:
        idle_seconds = 0.0
        if corpus.timed:
            pauses = [longest_pause(corpus.time[corpus.events_of(i)]) for i in fit.tolist()]
            idle_seconds = max(1.0, 1.5 * float(np.quantile(pauses, 1 - 1 / 2000)))
    first = corpus.event[corpus.offsets[fit]]
    later = np.concatenate([np.arange(corpus.offsets[i] + 1, corpus.offsets[i + 1]) for i in fit])
    event, silence = corpus.event[later], corpus.time[later] - corpus.time[later - 1]
    openings: dict[str, float | None] = {}
    for opening in np.unique(first[first >= 0]).tolist():
        opens = np.count_nonzero(first == opening)
        if opens >= max(2, _OPENS * len(fit)):
            before = np.sort(silence[event == opening])[::-1]  # unknown ones first
            before = before[int(_MISTAKEN * opens) :]
            enough = max(_CLOCK, float(before[0])) if len(before) else 0.0
            sure = opens >= _FEW_OPENS and enough <= idle_seconds
            openings[corpus.names[opening]] = enough if sure else idle_seconds or None
    return StreamConfig(idle_seconds=idle_seconds, openings=openings)


def span(times: NDArray[np.float64]) -> float:
    """Seconds from the first to the last of the known times."""
    known = times[~np.isnan(times)]
    return float(known.max() - known.min()) if len(known) else 0.0


def longest_pause(times: NDArray[np.float64]) -> float:
    """Seconds of the longest silence within a stream."""
    known = times[~np.isnan(times)]
    return float(np.diff(known).max()) if len(known) > 1 else 0.0


def judged(corpus: Corpus, config: StreamConfig, *, complete: bool) -> list[Stream]:
    """Streams with whether their beginning and their end are in the recording.

    `complete` says that all are. Else a stream began if its first event is one that streams open
    with, after enough silence if the recording had begun by then, and has ended if it was silent
    for the idle time when the recording stopped; without times nothing says that one is still open.
    """
    since = float(np.nanmin(corpus.time)) if corpus.timed else math.nan
    complete_ends = complete or not corpus.timed
    stop = float(np.nanmax(corpus.time)) if corpus.timed else math.nan
    streams = []
    for key, names, times in streams_of(corpus):
        silence = config.openings.get(names[0] or "", math.inf)
        began = silence is None or silence == 0.0 or bool(times[0] - since > silence)
        silent = bool(stop - times[-1] > config.idle_seconds > 0.0)
        ended = complete_ends or silent
        streams.append(Stream(names, times, complete or began, ended, key))
    return streams


def endless_parts(corpus: Corpus) -> tuple[list[Stream], list[Stream]]:
    """Endless streams, each cut by time into what is fitted and what is held out."""
    if not corpus.timed:
        raise InputError(
            "an endless stream is scored in blocks of time, and its events have no times; give "
            "--time, or --stream-key if the log holds sessions"
        )
    # At the time by which so many events have happened: some logs are one burst after another.
    cut = float(np.nanquantile(corpus.time, 1 - _HELD))
    parts: tuple[list[Stream], list[Stream]] = ([], [])
    for _, names, moments in streams_of(corpus):
        at = int(np.argmax(moments >= cut)) if (moments >= cut).any() else len(moments)
        for part, few in zip(parts, (slice(0, at), slice(at, len(names))), strict=True):
            if len(names[few]):
                part.append(Stream(names[few], moments[few], False, False))
    count = sum(len(stream.names) for stream in parts[1])
    seconds = max((span(stream.times) for stream in parts[1]), default=0.0)
    if not parts[0] or count < _EVENTS_A_BLOCK or not seconds > 0.0:
        raise InputError(
            f"the log is too short for an endless stream: the newest {_HELD:.0%} of it, which set "
            f"the threshold, are {counted(count, 'event')} within {seconds:g} s; give more of it, "
            f"at least {math.ceil(_EVENTS_A_BLOCK / _HELD)} events that are not all of one time, "
            "or a stream key"
        )
    return parts


def block_seconds(held: list[Stream]) -> float:
    """Length of a block: some 400 of them set the threshold, unless they held under 20 events."""
    seconds = sum(span(stream.times) for stream in held)
    events = sum(len(stream.names) for stream in held)
    seconds /= min(_BLOCKS, max(1.0, events / _EVENTS_A_BLOCK))
    readable = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10_800, 21_600, 86_400]
    return float(next((r for r in readable if r >= seconds), 86_400))


def fitted_lines(
    corpus: Corpus, streams: Int64[np.ndarray, " fit"], total: int
) -> Bool[np.ndarray, " lines"]:
    """Which of `total` lines have an event of one of these streams."""
    chosen = np.zeros(total, dtype=np.bool_)
    for index in streams.tolist():
        chosen[corpus.line[corpus.events_of(index)]] = True
    return chosen
