"""From a batch to rows of events: raw lines are parsed by the model's own rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from ..model.event import EventParser, Parsed
from ..model.folder import Model
from .batch import Batch, Rows


class Reader:
    """Reads batches; one thread owns it."""

    def __init__(self, model: Model) -> None:
        events = model.config.events
        self._parser = EventParser(events, model.templates)
        self._keyless = EventParser(replace(events, stream_key=None), model.templates)

    def read(self, batch: Batch) -> Rows:
        """The events of a batch, in order."""
        if batch.names is not None:
            times = batch.times
            if times is None:
                times = np.full(len(batch.names), batch.received)
            streams = [""] * len(batch.names) if batch.streams is None else batch.streams
            return Rows(streams, list(batch.names), times)
        lines = batch.lines or []
        parsed = self._parser.parse(lines)
        if batch.streams is not None:
            return self._assign(batch, lines, parsed)
        return Rows(
            stream=parsed.stream,
            name=parsed.name,
            time=_times(batch, parsed),
            row=parsed.line,
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
    if batch.times is not None:
        return np.asarray(batch.times[parsed.line])
    return np.where(np.isnan(parsed.time), batch.received, parsed.time)
