"""Logs in files → alerts, with the same detector that the service runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from .ahead import parsed
from .alert import Alert
from .detector import Detector
from .event import EventParser
from .finding import Observed
from .folder import Model
from .logs import read_lines
from .vocabulary import END

_CHUNK = 16_384  # lines at a time


@dataclass
class Totals:
    """What a run over files came to."""

    lines: int = 0
    events: int = 0
    new: int = 0  # events not in the vocabulary
    unkeyed: int = 0  # lines without a stream key
    continuations: int = 0
    broken: int = 0  # lines that are no JSON object
    streams: int = 0
    alerts: int = 0


def score_logs(
    model: Model,
    paths: Sequence[Path],
    *,
    complete: bool = False,
    totals: Totals,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Alert]:
    """The alerts of logs, in the order in which they are raised; memory stays bounded by streams.

    `complete`: every stream begins and ends within these logs; else streams that may have begun
    before are joined in the middle, and only those silent for the idle time have ended. `totals` is
    kept up to date, `progress` called with the number of bytes read since the last call.
    """
    parser = EventParser(model.config.events, model.templates)
    complete = complete or model.config.events.format == "sequences"
    detector = Detector(model)
    lines = read_lines(paths, progress=progress)
    chunks = iter(lambda: list(islice(lines, _CHUNK)), [])
    for chunk, events in parsed(parser, chunks):
        started = set(events.stream) if complete else ()
        observed = detector.observe(events.stream, events.name, events.time, started=started)
        totals.lines += len(chunk)
        totals.events += len(events.stream)
        totals.new += observed.new
        totals.unkeyed += events.unkeyed
        totals.continuations += events.continuations
        totals.broken += events.broken
        totals.streams = len(detector)
        yield from _alerts(detector, observed, chunk, events.line.tolist(), totals)
        if not complete:
            ended = detector.end_idle(detector.watermark)
            yield from _alerts(detector, ended, chunk, [], totals)
    if complete:
        yield from _alerts(detector, detector.end(detector.known()), [], [], totals)


def _alerts(
    detector: Detector,
    observed: Observed,
    chunk: Sequence[str],
    line_of: Sequence[int],
    totals: Totals,
) -> Iterator[Alert]:
    for finding in observed.findings:
        is_event = finding.index >= 0 and finding.token != END
        line = chunk[line_of[finding.index]] if is_event else None
        totals.alerts += 1
        yield detector.alert(finding, [line])
