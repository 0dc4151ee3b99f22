"""Incidents to Prometheus's Alertmanager, which groups, silences and routes them (its API v2)."""

from __future__ import annotations

import json
from typing import Any

from .delivery import Receiver
from .incident import LASTING_SECONDS, Incident, rfc3339
from .sink import Sent, Sink
from .store import Store
from .storm import Storm

_LABEL = 1024  # characters


class Alertmanager(Sink):
    """Says every `seconds` what fires, and once what no longer does.

    A message holds until the fourth after it is due: were we gone, all would be resolved by then.
    """

    name = "alertmanager"
    seconds = 15.0

    def __init__(self, url: str, store: Store) -> None:
        super().__init__()
        self._receiver = Receiver(url.rstrip("/") + "/api/v2/alerts")
        self._store = store
        self._firing: dict[tuple[str, ...], dict[str, Any]] = {}  # by their labels

    def send(self, now: float) -> Sent:
        """Say what fires at unix time `now`, and what has ceased to."""
        since, ends = now - LASTING_SECONDS, now + 4.0 * self.seconds
        alerts = [_alert(one, now, ends) for one in self._store.incidents(changed_after=since)]
        storm = self._store.storm(changed_after=since)
        if storm is not None:
            alerts.append(_storm(storm, now, ends))
        firing = {tuple(alert["labels"].values()): alert for alert in alerts}
        over = [
            {**alert, "endsAt": rfc3339(now)}
            for labels, alert in self._firing.items()
            if labels not in firing
        ]
        if firing or over:
            body = json.dumps([*firing.values(), *over]).encode()
            self._receiver.post(body, {"Content-Type": "application/json"})
        self._firing = firing
        return Sent(len(firing) + len(over))

    def close(self) -> None:
        self._receiver.close()


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
