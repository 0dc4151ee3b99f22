"""What an operator sees of a replay: what was caught, how late, and how often for nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..service.incident import UNKNOWN
from .replay_events import Events, Raised

INCIDENT_SECONDS = 600.0  # between two alerts of one incident, in event time
_DAY_SECONDS = 86_400.0

Measures = dict[str, tuple[float, int]]  # measure → value, and what it was measured on


@dataclass(frozen=True)
class Heard:
    """What one method said in a replay.

    `alerts` are what an operator finds listed, each cause once; `raised` is every time that one was
    raised or raised again.
    """

    alerts: list[Raised]
    raised: list[Raised]


@dataclass(frozen=True)
class Caught:
    """One anomaly that was caught: how long after its first wrong event."""

    events: int  # of the same session, between the wrong one and that at which the alert came
    seconds: float
    time: float


def incidents(alerts: Sequence[Raised]) -> list[list[Raised]]:
    """Alerts of the same kind in one group, however many streams they are of.

    The kind is the detector, what was observed and what was expected, and one for all alerts that
    an unknown event explains; a group goes on as long as the next alert comes within ten minutes of
    event time. The service groups by its own clock, which a recording that is played fast does not
    follow, so it is done here.
    """
    groups: list[list[Raised]] = []
    latest: dict[tuple[str, str, str], list[Raised]] = {}
    for alert in sorted(alerts, key=lambda alert: alert.time):
        known = (alert.detector, alert.observed, alert.expected)
        kind = UNKNOWN if alert.unknown else known
        group = latest.get(kind)
        if group is None or alert.time - group[-1].time > INCIDENT_SECONDS:
            group = latest[kind] = []
            groups.append(group)
        group.append(alert)
    return groups


class Judge:
    """Knows which events are wrong; `wrong` is, of each anomalous owner, the first such event."""

    def __init__(self, events: Events, wrong: Mapping[str, int]) -> None:
        self._events = events
        self._wrong = wrong
        self._of_stream: dict[str, list[int]] = defaultdict(list)
        self._of_owner: dict[str, list[int]] = defaultdict(list)
        for index, (stream, owner) in enumerate(zip(events.stream, events.owner, strict=True)):
            self._of_stream[stream].append(index)
            self._of_owner[owner].append(index)

    @property
    def normal(self) -> set[str]:
        """Owners of which no event is wrong."""
        return self._of_owner.keys() - self._wrong.keys()

    def event_of(self, alert: Raised) -> int:
        """Index of the event at which an alert was raised; of an ended stream its last."""
        return self._of_stream[alert.stream][alert.position - 1]

    def is_right(self, alert: Raised) -> bool:
        """Whether it was raised by a session that had gone wrong by then."""
        event = self.event_of(alert)
        return event >= self._wrong.get(self._events.owner[event], math.inf)

    def caught(self, raised: Sequence[Raised]) -> dict[str, Caught]:
        """Of each anomaly the earliest alert from its first wrong event on."""
        first: dict[str, tuple[float, int]] = {}
        for alert in filter(self.is_right, raised):
            event = self.event_of(alert)
            owner = self._events.owner[event]
            first[owner] = min(first.get(owner, (math.inf, 0)), (alert.time, event))
        return {owner: self._caught(owner, *when) for owner, when in first.items()}

    def _caught(self, owner: str, time: float, event: int) -> Caught:
        wrong = self._wrong[owner]
        between = sum(wrong < index <= event for index in self._of_owner[owner])
        return Caught(between, time - float(self._events.time[wrong]), time)


def measures(
    events: Events,
    wrong: Mapping[str, int],
    heard: Heard,
    *,
    rate: float,
    block_seconds: float = 0.0,
) -> Measures:
    """The measures of one method.

    An alert on an anomalous session before its first wrong event is a false one. The false-alert
    ratio is the number of normal streams (`block_seconds` > 0: of blocks of an endless stream) with
    a false alert, divided by the number that the budget, `rate` each, allows. Days are days of
    event time. `caught_in_recording` counts what was caught before the last event; the rest was
    caught by ends, which need the silence after it. An end adds its idle time to the delay, and no
    event. Incidents are those of false alerts.
    """
    judge = Judge(events, wrong)
    caught = judge.caught(heard.raised)
    false = [alert for alert in heard.alerts if not judge.is_right(alert)]
    false_raised = [alert for alert in heard.raised if not judge.is_right(alert)]
    begin, stop = float(np.nanmin(events.time)), float(np.nanmax(events.time))
    days = (stop - begin) / _DAY_SECONDS
    if block_seconds:
        blocks = np.unique(np.floor(events.time / block_seconds))
        units, alerting = len(blocks), {alert.time // block_seconds for alert in false_raised}
        ratio = len(alerting) / (rate * units)
    else:
        normal = judge.normal
        units = len(normal)
        ratio = len({alert.stream for alert in false_raised} & normal) / (rate * units)
    found: Measures = {
        "caught": (len(caught) / len(wrong), len(wrong)),
        "caught_in_recording": (
            sum(one.time <= stop for one in caught.values()) / len(wrong),
            len(wrong),
        ),
        "false_alert_ratio": (ratio, units),
        "false_alerts_per_day": (len(false) / days, len(false)),
        "incidents_per_day": (len(groups := incidents(false)) / days, len(groups)),
    }
    if caught:
        n = len(caught)
        found["delay_events_p50"] = (float(np.median([one.events for one in caught.values()])), n)
        found["delay_seconds_p50"] = (float(np.median([one.seconds for one in caught.values()])), n)
    return found


def added(before: Sequence[Raised], after: Sequence[Raised]) -> list[Raised]:
    """The alerts whose cause was not among those before."""
    known = {alert.cause for alert in before}
    return [alert for alert in after if alert.cause not in known]


def difference(one: Sequence[Raised], other: Sequence[Raised]) -> int:
    """How many alerts only one of two replays listed; also the event and the count must agree."""

    def listed(alerts: Sequence[Raised]) -> set[tuple[object, ...]]:
        return {(*alert.cause, alert.position, alert.count) for alert in alerts}

    return len(listed(one) ^ listed(other))
