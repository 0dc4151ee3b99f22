"""Logs → streams of event names in columns, in the order in which the streams ended."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy.typing import NDArray

from ..model.ahead import parsed
from ..model.coded import Coded
from ..model.errors import InputError, LogError
from ..model.event import EventParser, read_sequence
from ..model.folder import Model
from ..model.logs import read_lines
from .store import Column, Number

_CHUNK = 65_536  # lines parsed at once
# What JSON raises that is none, or is other than expected, or has numbers out of all bounds.
_NO_RECORD = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Corpus:
    """Events of all streams side by side: stream i has events `offsets[i]:offsets[i + 1]`.

    `event` indexes `names`, −1 for an unseen template; `time` is unix seconds, nan where unknown;
    `line` is the number of the line that an event came from, from 0. `labels` (1 anomalous, 0
    normal, −1 unknown) and `splits` are what labelled data says of a stream. Streams are ordered by
    their last event.
    """

    streams: tuple[str, ...]
    offsets: Int64[np.ndarray, " streams_and_one"]
    event: Int32[np.ndarray, " events"]
    time: Float64[np.ndarray, " events"]
    line: Int64[np.ndarray, " events"]
    names: tuple[str, ...]
    labels: Int32[np.ndarray, " streams"]
    splits: tuple[str | None, ...]
    unkeyed: int = 0  # lines in which no stream key was found
    continuations: int = 0  # lines that go on with the record before them

    def __len__(self) -> int:
        return len(self.streams)

    @property
    def timed(self) -> bool:
        """Whether (nearly) all events have a time."""
        return len(self.time) > 0 and bool(np.isnan(self.time).mean() < 0.01)

    def events_of(self, index: int) -> slice:
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def lengths(self) -> Int64[np.ndarray, " streams"]:
        """Events by stream."""
        return np.diff(self.offsets)

    def last_times(self) -> Float64[np.ndarray, " streams"]:
        """Time of each stream's last event."""
        return np.asarray(self.time[self.offsets[1:] - 1])

    def select(self, keep: Collection[int] | NDArray[np.integer]) -> Corpus:
        """The streams with these indexes, in that order."""
        chosen = np.array(list(keep), dtype=np.int64)
        lengths = self.lengths()[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # Event i of the selection lies at its stream's old start plus its place in the stream.
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return Corpus(
            streams=tuple(self.streams[i] for i in chosen),
            offsets=offsets,
            event=self.event[at],
            time=self.time[at],
            line=self.line[at],
            names=self.names,
            labels=self.labels[chosen],
            splits=tuple(self.splits[i] for i in chosen),
        )


def read_corpus(lines: Iterable[str], parser: EventParser, folder: Path | None = None) -> Corpus:
    """Raw text or JSON lines, parsed as the model will parse them when it serves.

    A chunk at a time, into columns on disk in `folder`: a log may be larger than memory.
    """
    streams: dict[str, int] = {}
    names: dict[str, int] = {}
    columns = _Columns(folder)
    unkeyed = continuations = first_line = 0
    iterator = iter(lines)
    chunks = iter(lambda: list(islice(iterator, _CHUNK)), [])
    for chunk, events in parsed(parser, chunks):
        columns.append(
            np.array([streams.setdefault(k, len(streams)) for k in events.stream], np.int32),
            np.array(
                [-1 if n is None else names.setdefault(n, len(names)) for n in events.name],
                np.int32,
            ),
            events.time,
            events.line.astype(np.int64) + first_line,
        )
        unkeyed += events.unkeyed
        continuations += events.continuations
        first_line += len(chunk)
    if not first_line:
        raise LogError("the log is empty: no line was read; give a log that has events")
    corpus = columns.ordered(tuple(streams), tuple(names), folder)
    return replace(corpus, unkeyed=unkeyed, continuations=continuations)


def read_sequences(lines: Iterable[str]) -> Corpus:
    """One JSON object a line: {"id", "events": […], "label"?, "split"?, "t"?: [unix seconds …]}."""
    keys: dict[str, int] = {}
    names: dict[str, int] = {}
    event: list[int] = []
    time: list[float] = []
    lengths: list[int] = []
    numbers: list[int] = []
    labels: list[int] = []
    splits: list[str | None] = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            key, events, times = read_sequence(value)
            label = int(np.int32(value.get("label", -1)))
        except _NO_RECORD as error:
            raise LogError(
                f'line {number + 1}: expected {{"id": …, "events": […]}}, got {line[:60]!r} '
                f"({error!r})"
            ) from error
        if not events:
            continue
        if key in keys:
            raise LogError(f"line {number + 1}: stream {key!r} came before; ids must differ")
        keys[key] = len(keys)
        event += [names.setdefault(name, len(names)) if name else -1 for name in events]
        time += times
        lengths.append(len(events))
        numbers.append(number)
        labels.append(label)
        splits.append(value.get("split"))
    if not keys:
        raise LogError("the log is empty: no sequence was read; give a log that has events")
    repeated = np.repeat(np.arange(len(keys)), lengths)
    corpus = Corpus(
        streams=tuple(keys),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        event=np.array(event, np.int32),
        time=np.array(time, np.float64),
        line=np.array(numbers, np.int64)[repeated],
        names=tuple(names),
        labels=np.array(labels, np.int32),
        splits=tuple(splits),
    )
    if not corpus.timed:
        return corpus
    return corpus.select(np.argsort(corpus.last_times(), kind="stable"))


def read_ids(lines: Iterable[str], *, label: int | None = None) -> frozenset[str]:
    """Stream keys, one a line: plain, first column of a CSV, or "stream"/"id" of a JSON object,
    with those that it says are "alike".

    With a `label`, objects are left out that say another of themselves.
    """
    keys = set()
    for raw in lines:
        line = raw.strip()
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except _NO_RECORD as error:
                raise InputError(f"not a JSON object: {line[:60]!r} ({error})") from error
            if label is None or value.get("label", label) == label:
                keys.add(str(value.get("stream", value.get("id", ""))))
                alike = value.get("alike")
                keys.update(map(str, alike) if isinstance(alike, list) else ())
        elif line:
            keys.add(line.split(",")[0].strip())
    return frozenset(keys - {""})


def read_labels(lines: Iterable[str]) -> dict[str, int]:
    """Stream → 1 anomalous, 0 normal, from `stream,label` lines or JSON objects.

    A JSON object with a "stream" but no "label" names an anomalous one. Labels other than 0, 1,
    normal and anomaly(ous) on a first line are taken for a heading.
    """
    words = {"0": 0, "1": 1, "normal": 0, "anomaly": 1, "anomalous": 1}
    labels: dict[str, int] = {}
    for number, raw in enumerate(lines):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("{"):
            try:
                value = json.loads(line)
                label_of = int(value.get("label", 1))
            except _NO_RECORD as error:
                raise InputError(
                    f'line {number + 1}: expected {{"stream": …, "label": 0 or 1}}, got '
                    f"{line[:60]!r} ({error!r})"
                ) from error
            if "stream" in value or "id" in value:
                labels[str(value.get("stream", value.get("id")))] = label_of
            continue
        key, _, label = line.rpartition(",")
        word = label.strip().strip('"').lower()
        if word in words:
            labels[key.strip().strip('"')] = words[word]
        elif number > 0:
            raise InputError(
                f"line {number + 1}: expected `stream,label` with label 0, 1, normal or anomaly, "
                f"got {line[:60]!r}"
            )
    return labels


def with_labels(corpus: Corpus, labels: dict[str, int]) -> Corpus:
    """The corpus with these labels; streams that are not named are normal."""
    values = np.array([labels.get(key, 0) for key in corpus.streams], np.int32)
    return Corpus(**{**corpus.__dict__, "labels": values})


def read_as(model: Model, logs: Sequence[Path]) -> Corpus:
    """Logs as `model` reads them."""
    if model.config.events.format == "sequences":
        return read_sequences(read_lines(logs))
    return read_corpus(read_lines(logs), EventParser(model.config.events, model.templates))


def read_labelled(
    model: Model,
    logs: Sequence[Path],
    *,
    labels: dict[str, int] | None,
    only: Collection[str] | None,
) -> Corpus:
    """Logs as `model` reads them, with labels: given ones, else those that sequences carry.

    `only` keeps these streams. Sequences that say they are for training are left out.
    """
    corpus = read_as(model, logs)
    if "train" in corpus.splits:
        corpus = corpus.select([i for i, s in enumerate(corpus.splits) if s != "train"])
    if labels is not None:
        corpus = with_labels(corpus, labels)
    if only is not None:
        corpus = corpus.select([i for i, key in enumerate(corpus.streams) if key in only])
    if not len(corpus):
        raise InputError("no stream is left to evaluate; check the logs and the streams asked for")
    return corpus


def streams_of(corpus: Corpus) -> Iterator[tuple[str, Coded[str | None], NDArray[np.float64]]]:
    """Key, names and times of each stream."""
    table: Sequence[str | None] = (*corpus.names, None)  # index −1 is an unseen template
    for index, key in enumerate(corpus.streams):
        events = corpus.events_of(index)
        yield key, Coded(table, corpus.event[events]), corpus.time[events]


class _Columns:
    """Events in the order read: number of the stream and of the event, time, line."""

    def __init__(self, folder: Path | None) -> None:
        self._stream, self._event = Column(np.int32, folder), Column(np.int32, folder)
        self._time, self._line = Column(np.float64, folder), Column(np.int64, folder)

    def append(
        self,
        stream: Int32[np.ndarray, " events"],
        event: Int32[np.ndarray, " events"],
        time: Float64[np.ndarray, " events"],
        line: Int64[np.ndarray, " events"],
    ) -> None:
        self._stream.append(stream)
        self._event.append(event)
        self._time.append(time)
        self._line.append(line)

    def ordered(self, keys: tuple[str, ...], names: tuple[str, ...], folder: Path | None) -> Corpus:
        """Events grouped by stream in the order read, streams by the place of their last event."""
        stream = self._stream.array()
        last = np.full(len(keys), -1, np.int64)
        for first in range(0, len(stream), _CHUNK):
            part = stream[first : first + _CHUNK]
            np.maximum.at(last, part, np.arange(first, first + len(part)))
        order = np.argsort(last, kind="stable")
        rank = np.empty(len(keys), np.int32)
        rank[order] = np.arange(len(keys))
        ranked = rank[stream]
        at = np.argsort(ranked, kind="stable")
        return Corpus(
            streams=tuple(keys[i] for i in order),
            offsets=np.concatenate([[0], np.cumsum(np.bincount(ranked, minlength=len(keys)))]),
            event=_taken(self._event.array(), at, folder),
            time=_taken(self._time.array(), at, folder),
            line=_taken(self._line.array(), at, folder),
            names=names,
            labels=np.full(len(keys), -1, np.int32),
            splits=(None,) * len(keys),
        )


def _taken(
    values: NDArray[Number], at: Int64[np.ndarray, " events"], folder: Path | None
) -> NDArray[Number]:
    """values[at] in a file."""
    column = Column(values.dtype.type, folder)
    for first in range(0, len(at), _CHUNK):
        column.append(values[at[first : first + _CHUNK]])
    return column.array()
