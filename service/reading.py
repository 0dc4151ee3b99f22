"""From a batch to rows of events: raw lines are parsed by the model's own rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

import numpy as np
from jaxtyping import Float64

from ..model.coded import Coded
from ..model.event import EventParser, Parsed
from ..model.folder import Model
from .batch import Batch, Rows

AHEAD_SECONDS = 600.0  # past which a clock is wrong, to Prometheus and Loki too


def plausible(rows: Rows, received: float) -> tuple[Rows, int]:
    """The events, with none dated later than the clock that is furthest ahead may say, and how many
    were: what comes before the latest event of all, or of a stream that is forgotten, counts as
    joined in the middle, and the year 9999 would last.
    """
    latest = received + AHEAD_SECONDS
    ahead = int(np.count_nonzero(rows.time > latest))
    return (replace(rows, time=np.minimum(rows.time, latest)) if ahead else rows), ahead


class Reader:
    """Reads batches; one thread owns it."""

    def __init__(self, model: Model) -> None:
        events = model.config.events
        self._parser = EventParser(events, model.templates)
        self._keyless = EventParser(replace(events, stream_key=None), model.templates)
        self._timeless = EventParser(replace(events, time=None), model.templates)
        self._bare = EventParser(replace(events, stream_key=None, time=None), model.templates)

    def read(self, batch: Batch) -> Rows:
        """The events of a batch, in order."""
        if batch.names is not None and batch.lines is not None:
            return self._records(batch, batch.names, batch.lines)
        if batch.names is not None:
            times = batch.times
            if times is None:
                times = np.full(len(batch.names), batch.received)
            streams = [""] * len(batch.names) if batch.streams is None else batch.streams
            return Rows(streams, batch.names, times)
        lines = batch.lines or []
        parsed = self._parser.parse(lines)
        if batch.streams is not None:
            return self._assign(batch, lines, parsed)
        return Rows(
            stream=Coded.compact(parsed.stream),
            name=Coded.compact(parsed.name),
            time=_times(batch, parsed),
            row=parsed.line,
            unkeyed=parsed.unkeyed,
            continuations=parsed.continuations,
            broken=parsed.broken,
        )

    def _records(self, batch: Batch, names: Sequence[str], lines: list[str]) -> Rows:
        """Rows of log records. What comes as one record goes on with none before: a body without
        the time stamp that the model's lines have is read without it, and, where the stream is
        known, without the key.
        """
        streams = batch.streams
        parsers = [self._parser, self._timeless]
        left = list(range(len(lines)))
        if streams is not None:
            parsers += [self._keyless, self._bare]
            left = [row for row in left if not names[row]]
        events: list[tuple[int, str, str | None, float]] = []
        for parser in parsers:
            parsed = parser.parse([lines[row] for row in left])
            row = [left[at] for at in parsed.line.tolist()]
            events += zip(row, parsed.stream, parsed.name, parsed.time.tolist(), strict=True)
            found = set(row)
            left = [row for row in left if row not in found]
        if streams is not None:
            events = list({event[0]: event for event in reversed(events)}.values())  # one each
            events += [(row, "", name, math.nan) for row, name in enumerate(names) if name]
        events.sort(key=itemgetter(0))
        whole = Parsed(
            line=np.array([row for row, *_ in events], dtype=np.int32),
            stream=[key if streams is None else streams[row] for row, key, *_ in events],
            name=[names[row] or name for row, _, name, _ in events],
            time=np.array([time for *_, time in events], dtype=np.float64),
        )
        return Rows(
            stream=whole.stream,
            name=whole.name,
            time=_times(batch, whole),
            row=whole.line,
            source=None
            if batch.sources is None
            else Coded.compact([batch.sources[row] for row in whole.line.tolist()]),
            unkeyed=parsed.unkeyed,
            continuations=parsed.continuations,
            broken=parsed.broken,
        )

    def _assign(self, batch: Batch, lines: list[str], parsed: Parsed) -> Rows:
        """Rows whose streams the client knows: one event a line, its own key not asked for."""
        assert batch.streams is not None
        found = dict(zip(reversed(parsed.line.tolist()), reversed(parsed.name), strict=True))
        first = dict(
            zip(reversed(parsed.line.tolist()), reversed(parsed.time.tolist()), strict=True)
        )
        missing = [row for row in range(len(lines)) if row not in found]
        rest = self._keyless.parse([lines[row] for row in missing])
        for at, name, time in zip(rest.line.tolist(), rest.name, rest.time.tolist(), strict=True):
            found[missing[at]], first[missing[at]] = name, time
        row = np.array(sorted(found), dtype=np.int32)
        order = row.tolist()
        whole = Parsed(
            line=row,
            stream=[batch.streams[at] for at in order],
            name=[found[at] for at in order],
            time=np.array([first[at] for at in order], dtype=np.float64),
        )
        return Rows(
            stream=whole.stream,
            name=whole.name,
            time=_times(batch, whole),
            row=row,
            continuations=len(lines) - len(order) - rest.broken,
            broken=rest.broken,
        )


def _times(batch: Batch, parsed: Parsed) -> Float64[np.ndarray, " events"]:
    """The client's times where it gave them, else the lines' own, else when they came in."""
    times = parsed.time
    if batch.times is not None:
        given = batch.times[parsed.line]
        times = np.where(np.isnan(given), times, given)
    return np.where(np.isnan(times), batch.received, times)
