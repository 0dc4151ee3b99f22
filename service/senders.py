"""Whose events the parts of a group hold, as numbers: by their clocks streams fall silent."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, UInt32

from ..model.coded import Coded
from .clocks import Clocks
from .ticket import Part

_SOURCES = 1000  # that a part may name; past that all are its sender
_CHARACTERS = 512  # of a name that is kept; past that it is the sender's


def heard(clocks: Clocks, parts: Sequence[Part]) -> tuple[Int32[np.ndarray, " events"], list[int]]:
    """The number of each event's sender, whose clock moves on; and numbers of those forgotten."""
    numbers, gone = [np.zeros(0, np.int32)], list[int]()
    for part in parts:
        if not len(part.rows):
            continue
        sources, times = _sources(part), part.rows.time
        if sources is None:
            latest = {part.ticket.sender: float(times.max())}
        else:
            each = np.full(len(sources.values), np.nan)
            np.fmax.at(each, sources.codes, times)
            latest = dict(zip(sources.values, each.tolist(), strict=True))
        # From now, not from when it came in: one whose batches wait is not silent.
        gone += clocks.heard(latest, time.time())
        own = np.array([clocks.numbers[sender] for sender in latest], dtype=np.int32)
        numbers.append(np.repeat(own, len(times)) if sources is None else own[sources.codes])
    return np.concatenate(numbers), gone


def accounts(parts: Sequence[Part]) -> UInt32[np.ndarray, " events"]:
    """The number of who is accountable for each event, whatever client it calls itself."""
    owners = np.array([part.ticket.account for part in parts], dtype=np.uint32)
    return np.repeat(owners, [len(part.rows) for part in parts])


def _sources(part: Part) -> Coded[str] | None:
    """Who says each event, by what the sender tells; None where it tells for itself."""
    if part.rows.source is None:
        return None
    column = Coded.compact(part.rows.source)
    if len(column.values) > _SOURCES:
        return None
    names = [f"{part.ticket.sender} {each}" for each in column.values]
    return Coded(names, column.codes) if max(map(len, names)) <= _CHARACTERS else None
