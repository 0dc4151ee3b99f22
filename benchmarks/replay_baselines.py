"""The n-gram and the event counts in the same replay: same streams, joins, ends and calibration."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from ..model.calibration import conformal_threshold
from ..model.event import EventParser
from ..model.folder import Model
from ..model.streams import Streams
from ..model.vocabulary import END, NEW, PAST, SPECIAL, START
from ..training.batches import Sequences
from ..training.config import TrainConfig
from ..training.corpus import read_corpus, read_sequences
from ..training.fit import count_vectors
from ..training.held_out import Stream, cropped, tokens_of
from ..training.ngram import NGram, fit_ngram
from ..training.partition import endless_parts, judged, partition
from ..training.source import Source
from .replay_events import Events, Raised
from .replay_measures import Heard

_REPEAT_SECONDS = 3600.0  # as in the service: the same cause within this time is the same alert
_AT_ONCE = 512  # count vectors compared at a time


@dataclass
class Life:
    """One stream as it was seen: its tokens, the beginning's mark first, and their times."""

    joined: bool
    tokens: list[int]
    times: list[float] = field(default_factory=lambda: [math.nan])
    ended: bool = False


@dataclass(frozen=True)
class End:
    """A stream fell silent for the idle time, after so many events."""

    stream: str
    position: int
    time: float


class Replayer:
    """Keeps streams as the service does; whether one was joined is decided by the same code."""

    def __init__(self, model: Model) -> None:
        config = model.config.streams
        self.lives: dict[str, Life] = {}
        self.ends: list[End] = []
        self._vocabulary = model.vocabulary
        self._idle = 0.0 if config.endless else config.idle_seconds
        self._streams = Streams(len(model.vocabulary), config, most=1 << 30)

    def observe(self, events: Events) -> None:
        """Feed events to their streams; one that was silent for the idle time has ended before."""
        tokens = self._vocabulary.ids(events.name)
        columns = zip(events.stream, events.name, tokens, events.time.tolist(), strict=True)
        for stream, name, token, time in columns:
            life = self.lives.get(stream)
            if life is None:
                life = self.lives[stream] = self._open(stream, name, time)
            elif 0.0 < self._idle < time - life.times[-1] and not life.ended:
                self._end(stream, life)
            life.ended = False
            life.tokens.append(token)
            life.times.append(time)

    def end_idle(self, now: float) -> None:
        """End the streams that at event time `now` have been silent for the idle time."""
        for stream, life in self.lives.items():
            if 0.0 < self._idle < now - life.times[-1] and not life.ended:
                self._end(stream, life)

    def _open(self, stream: str, name: str | None, time: float) -> Life:
        if math.isnan(self._streams.known_since):
            self._streams.known_since = time
        row = self._streams.assign([stream], [name], np.array([time]), frozenset())
        joined = bool(self._streams.state["joined"][row[0]])
        return Life(joined, [PAST if joined else START])

    def _end(self, stream: str, life: Life) -> None:
        life.ended = True
        self.ends.append(End(stream, len(life.tokens) - 1, life.times[-1] + self._idle))


@dataclass(frozen=True)
class Round:
    """Streams that a baseline learns from, and those that it is calibrated on in this round."""

    learning: list[Stream]
    held: list[Stream]


def rounds(model: Model, config: TrainConfig) -> list[Round]:
    """The normal streams as the model itself was fitted to them and calibrated on them."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = Source(config.logs, Path(scratch))()
        ready = model.config.events.format == "sequences"
        if ready:
            corpus = read_sequences(lines)
        else:
            corpus = read_corpus(lines, EventParser(model.config.events, model.templates))
    splits = [split is None or split == config.split for split in corpus.splits]
    chosen = [key not in config.exclude for key in corpus.streams]
    corpus = corpus.select(np.flatnonzero(np.logical_and(splits, chosen)))
    if model.config.streams.endless:
        return [Round(*endless_parts(corpus))]
    every = judged(corpus, model.config.streams, complete=config.complete or ready)
    return [
        Round([every[i] for i in learning], [every[i] for i in held])
        for learning, held in partition(corpus, None, newest=config.newest).rounds()
    ]


Score = Callable[[Sequence[Stream]], Float64[np.ndarray, " streams"]]


def limits(
    fit: Callable[[Sequence[Stream]], Score], parts: Sequence[Round], rate: float, seed: int
) -> tuple[float, float]:
    """Conformal thresholds for whole streams and for joined ones, as the product sets its own."""
    whole, joined = [], []
    for part in parts:
        score = fit(part.learning)
        whole.append(score(part.held))
        joined.append(score(cropped(part.held, np.random.default_rng(seed))))
    return (
        conformal_threshold(np.concatenate(whole), rate),
        conformal_threshold(np.concatenate(joined), rate),
    )


class NGramReplay:
    """Raises an alert where the n-gram's surprisal of an event, or of an end, passes the limit."""

    name = "ngram"

    def __init__(self, model: Model, parts: Sequence[Round], seed: int) -> None:
        self._names = model.vocabulary.names
        self._vocabulary = model.vocabulary
        self._ngram = NGram.from_arrays(model.baseline)
        self.setting = f"order {self._ngram.order}"
        rate, block = model.calibration.rate, model.config.streams.block_seconds
        if model.config.streams.endless:
            limit = conformal_threshold(self._worst_by_block(parts[0].held, block), rate)
            self._limits = limit, limit
        else:
            self._limits = limits(self._fitted_to, parts, rate, seed)

    def hear(self, replayer: Replayer) -> Heard:
        """All that it raises."""
        raised = []
        lives = replayer.lives
        surprisals = self._ngram.surprisals([np.array(life.tokens) for life in lives.values()])
        for (stream, life), surprisal in zip(lives.items(), surprisals, strict=True):
            for at in np.flatnonzero(surprisal > self._limits[life.joined]).tolist():
                token, time = life.tokens[at + 1], life.times[at + 1]
                alert = Raised(stream, self.name, self._names[token], "", time, at + 1)
                raised.append(replace(alert, unknown=token == NEW))
        before = [self._context(lives[end.stream], end.position) for end in replayer.ends]
        surprisals = self._ngram.surprisals([np.array([*tokens, END]) for tokens in before])
        for end, surprisal in zip(replayer.ends, surprisals, strict=True):
            if surprisal[-1] > self._limits[lives[end.stream].joined]:
                raised.append(
                    Raised(end.stream, self.name, self._names[END], "", end.time, end.position)
                )
        alerts = [replace(a, expected=self._expected(lives[a.stream], a)) for a in once(raised)]
        return Heard(alerts, raised)

    def _fitted_to(self, learning: Sequence[Stream]) -> Score:
        """An n-gram of the same order, as a score: its largest surprisal in a stream."""
        known = Sequences.of([tokens_of(self._vocabulary, stream) for stream in learning])
        ngram = fit_ngram(
            known.tokens,
            known.counts,
            order=self._ngram.order,
            d_vocab=len(self._vocabulary),
        )

        def worst(streams: Sequence[Stream]) -> Float64[np.ndarray, " streams"]:
            sequences = [tokens_of(self._vocabulary, stream) for stream in streams]
            return np.array([surprisal.max() for surprisal in ngram.surprisals(sequences)])

        return worst

    def _worst_by_block(
        self, streams: Sequence[Stream], seconds: float
    ) -> Float64[np.ndarray, " blocks"]:
        worst = []
        for stream in streams:
            surprisal = self._ngram.surprisal(tokens_of(self._vocabulary, stream))
            cuts = np.flatnonzero(np.diff(np.floor(stream.times / seconds))) + 1
            worst += [float(part.max()) for part in np.split(surprisal, cuts)]
        return np.array(worst)

    def _context(self, life: Life, position: int) -> list[int]:
        """All that the prediction after so many events depends on."""
        return life.tokens[max(0, position + 1 - self._ngram.order) : position + 1]

    def _expected(self, life: Life, alert: Raised) -> str:
        """The most probable event (or end) besides the observed one."""
        ended = alert.observed == self._names[END]
        context = self._context(life, alert.position - (not ended))
        others = [
            token
            for token in range(END, len(self._names))
            if token == END or token >= len(SPECIAL)
            if self._names[token] != alert.observed
        ]
        surprisals = self._ngram.surprisals([np.array([*context, token]) for token in others])
        return self._names[others[int(np.argmin([surprisal[-1] for surprisal in surprisals]))]]


class CountsReplay:
    """Raises an alert where a stream has ended and no training stream has such event counts.

    The statistic is 1 − the largest cosine between its counts and those of a whole training stream.
    Joined streams are compared with the same vectors, under the limit of cropped held-out ones.
    """

    name = "counts"
    setting = "cosine, nearest neighbour"

    def __init__(self, model: Model, parts: Sequence[Round], seed: int) -> None:
        self._vocabulary = model.vocabulary
        self._streams = model.config.streams
        self._known = _unit(model.count_vectors)
        self._limits = limits(self._fitted_to, parts, model.calibration.rate, seed)

    def hear(self, replayer: Replayer) -> Heard:
        """All that it raises."""
        names = self._vocabulary.names
        lives, ends = replayer.lives, replayer.ends
        vectors = _unit(self._counts([lives[e.stream].tokens[1 : e.position + 1] for e in ends]))
        distances, nearest = _nearest(vectors, self._known)
        raised = []
        for at, end in enumerate(ends):
            if distances[at] > self._limits[lives[end.stream].joined]:
                most = int(np.argmax(np.abs(vectors[at] - self._known[nearest[at]])))
                alert = Raised(
                    end.stream, self.name, names[END], names[most], end.time, end.position
                )
                unknown = NEW in lives[end.stream].tokens[1 : end.position + 1]
                raised.append(replace(alert, unknown=unknown))
        return Heard(once(raised), raised)

    def _fitted_to(self, learning: Sequence[Stream]) -> Score:
        """The distance of a stream's counts to these streams'."""
        known = _unit(count_vectors(self._vocabulary, learning, self._streams))

        def distances(streams: Sequence[Stream]) -> Float64[np.ndarray, " streams"]:
            vectors = self._counts([self._vocabulary.ids(stream.names) for stream in streams])
            ended = np.array([stream.ended for stream in streams])
            # Judged at its end only.
            return np.where(ended, _nearest(_unit(vectors), known)[0], -np.inf)

        return distances

    def _counts(self, streams: Sequence[Sequence[int]]) -> Float32[np.ndarray, "streams d_vocab"]:
        size = len(self._vocabulary)
        rows = [np.bincount(tokens, minlength=size) for tokens in streams]
        return np.array(rows, np.float32).reshape(-1, size)


def once(raised: Sequence[Raised]) -> list[Raised]:
    """Each cause once, with how often it was raised; again if it was not seen for an hour."""
    alerts: list[Raised] = []
    latest: dict[tuple[str, str, str], tuple[int, float]] = {}
    for alert in sorted(raised, key=lambda alert: alert.time):
        at, seen = latest.get(alert.cause, (-1, -math.inf))
        if alert.time - seen > _REPEAT_SECONDS:
            at = len(alerts)
            alerts.append(alert)
        else:
            alerts[at] = replace(alerts[at], count=alerts[at].count + 1)
        latest[alert.cause] = at, alert.time
    return alerts


def _nearest(
    vectors: Float32[np.ndarray, "streams d_vocab"], known: Float32[np.ndarray, "known d_vocab"]
) -> tuple[Float64[np.ndarray, " streams"], list[int]]:
    """Distance to the nearest known vector, and which one that is."""
    distances, nearest = [np.zeros(0)], list[int]()
    for start in range(0, len(vectors), _AT_ONCE):
        cosine = vectors[start : start + _AT_ONCE] @ known.T
        nearest += np.argmax(cosine, axis=1).tolist()
        distances.append(1.0 - cosine.max(axis=1).astype(np.float64))
    return np.concatenate(distances), nearest


def _unit(
    counts: Float32[np.ndarray, "streams d_vocab"],
) -> Float32[np.ndarray, "streams d_vocab"]:
    return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True))
