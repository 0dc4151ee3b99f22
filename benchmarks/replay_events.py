"""What a replay sends, and what the model makes of it: events in order, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from ..model.event import EventParser
from ..model.folder import Model


@dataclass(frozen=True, slots=True)
class Sent:
    """A raw line, which says its stream and time itself; or an event by name, with both beside."""

    text: str
    stream: str | None = None
    time: float | None = None


@dataclass(frozen=True)
class Events:
    """All events of a replay, in the order in which they are sent.

    `owner` is the session that an event is truly of. It is the stream, but where many sessions were
    made one endless stream.
    """

    stream: list[str]
    name: list[str | None]
    time: Float64[np.ndarray, " events"]
    sent: Int64[np.ndarray, " events"]  # index of what was sent that gave the event
    owner: list[str]

    def __len__(self) -> int:
        return len(self.stream)


@dataclass(frozen=True)
class Raised:
    """One alert. `position` counts the events of its stream, the observed one included."""

    stream: str
    detector: str
    observed: str
    expected: str
    time: float
    position: int
    count: int = 1
    unknown: bool = False  # an event that was not in training is among those that made it fire

    @property
    def cause(self) -> tuple[str, str, str]:
        """What makes two alerts the same one."""
        return self.stream, self.detector, self.observed


def read_events(model: Model, sent: Sequence[Sent], owners: Sequence[str] | None) -> Events:
    """The events as the service reads them; `owners` by what was sent, where streams do not say."""
    if model.config.events.format == "sequences":
        stream = [one.stream or "" for one in sent]
        times = np.array([one.time for one in sent], dtype=np.float64)
        names: list[str | None] = [one.text for one in sent]
        at = np.arange(len(sent), dtype=np.int64)
    else:
        parser = EventParser(model.config.events, model.templates)
        parsed = parser.parse([one.text for one in sent])
        stream, names, times = list(parsed.stream), list(parsed.name), parsed.time
        at = parsed.line.astype(np.int64)
    owner = stream if owners is None else [owners[index] for index in at.tolist()]
    return Events(stream, names, times, at, owner)


def first_wrong(events: Events, anomalies: Mapping[str, int | None]) -> dict[str, int]:
    """Anomalous owner → index of its first wrong event.

    `anomalies` says which line or event of what was sent is the first wrong one; None: the set has
    no labels of events, and the owner's first event in the replay counts as that.
    """
    wrong: dict[str, int] = {}
    for index, (owner, at) in enumerate(zip(events.owner, events.sent.tolist(), strict=True)):
        if owner in anomalies and owner not in wrong and at >= (anomalies[owner] or 0):
            wrong[owner] = index
    return wrong
