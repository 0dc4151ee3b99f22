"""Incidents to Prometheus's Alertmanager, which groups, silences and routes them (its API v2)."""

from __future__ import annotations

import json
from typing import Any

from .delivery import Receiver, RefusedError
from .incident import LASTING_SECONDS, Incident, rfc3339
from .sink import Sent, Sink
from .store import Store
from .storm import Storm

_LABEL = 1024  # characters

_ByLabels = dict[tuple[str, ...], dict[str, Any]]


class Alertmanager(Sink):
    """Says every `seconds` what fires, and once what no longer does.

    A message holds until the fourth after it is due: were we gone, all would be resolved by then.
    """

    name = "alertmanager"
    seconds = 15.0

    def __init__(self, url: str, store: Store) -> None:
        super().__init__()
        self._receiver = Receiver(url, "/api/v2/alerts")
        self._store = store
        self._firing: _ByLabels = {}
        self._refused: set[tuple[str, ...]] = set()  # for good, while they last

    def send(self, now: float) -> Sent:
        """Say what fires at unix time `now`, and what has ceased to."""
        since, ends = now - LASTING_SECONDS, now + 4.0 * self.seconds
        alerts = [_alert(one, now, ends) for one in self._store.incidents(changed_after=since)]
        storm = self._store.storm(changed_after=since)
        if storm is not None:
            alerts.append(_storm(storm, now, ends))
        firing = {tuple(alert["labels"].values()): alert for alert in alerts}
        told = {labels: alert for labels, alert in firing.items() if labels not in self._refused}
        over = {
            labels: {**alert, "endsAt": rfc3339(now)}
            for labels, alert in self._firing.items()
            if labels not in firing
        }
        refused = self._tell({**told, **over})
        self._refused = (self._refused | refused.keys()) & firing.keys()
        self._firing = {labels: told[labels] for labels in told.keys() - refused.keys()}
        return Sent(len(told) + len(over) - len(refused), tuple(refused.values()))

    def close(self) -> None:
        self._receiver.close()

    def _tell(self, alerts: _ByLabels) -> dict[tuple[str, ...], str]:
        """Send these, in halves where something in them is refused; those refused, and why."""
        if not alerts:
            return {}
        body = json.dumps([*alerts.values()]).encode()
        try:
            self._receiver.post(body, {"Content-Type": "application/json"})
        except RefusedError as error:
            if not error.content:
                raise
            if len(alerts) == 1:
                return dict.fromkeys(alerts, str(error))
            each, half = list(alerts.items()), len(alerts) // 2
            return {**self._tell(dict(each[:half])), **self._tell(dict(each[half:]))}
        return {}


def _alert(incident: Incident, now: float, ends: float) -> dict[str, Any]:
    """The incident in Alertmanager's form. Labels make its identity; what changes is annotation."""
    newest = incident.newest
    alerts, streams = _many(incident.alerts, "alert"), _many(incident.stream_count, "stream")
    on_it = ". ".join(filter(None, (f"{incident.acknowledged} of {alerts}", incident.on_it)))
    what = f"saw {incident.observed[:_LABEL]}, expected {incident.expected[:_LABEL]}"
    return {
        "labels": {
            **({"model": incident.model_name} if incident.model_name else {}),
            "alertname": "OffscriptAnomaly",
            "severity": "page",
            "detector": incident.detector,
            "observed": incident.observed[:_LABEL],
            "expected": incident.expected[:_LABEL],
        },
        "annotations": {
            "summary": f"unknown events in {streams}" if incident.unknown else what,
            "description": f"{alerts} in {streams}, raised {incident.count} times; "
            f"newest: {newest.text or ''}",
            "streams": ", ".join(incident.streams),
            "explain": f"offscript explain {newest.id}",
            "score": f"{newest.score:.2f}",
            "threshold": f"{newest.threshold:.2f}",
            **({"acknowledged": on_it} if incident.acknowledged else {}),
        },
        **_times(incident, now, ends),
    }


def _storm(storm: Storm, now: float, ends: float) -> dict[str, Any]:
    """All that is held back as one alert, the same one while it lasts."""
    what = f"{storm.alerts} alerts in {storm.streams} streams, raised {storm.count} times"
    more = f"{_many(storm.kinds, 'more kind')} of alerts"
    on_it = {"acknowledged": f"{storm.acknowledged} of {storm.alerts} alerts"}
    return {
        "labels": {"alertname": "OffscriptStorm", "severity": "page"},
        "annotations": {
            "summary": f"{more} than are told each by itself",
            "description": f"{what}. {storm.sentence}",
            "first": storm.first,
            "most": storm.most,
            **(on_it if storm.acknowledged else {}),
        },
        **_times(storm, now, ends),
    }


def _many(n: int, things: str) -> str:
    return f"{n} {things}{'s' if n > 1 else ''}"


def _times(what: Incident | Storm, now: float, ends: float) -> dict[str, str | None]:
    return {
        "startsAt": rfc3339(min(now, what.first_seen)) or rfc3339(now),
        "endsAt": rfc3339(ends),
    }
