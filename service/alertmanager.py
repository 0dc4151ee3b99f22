"""Incidents to Prometheus's Alertmanager, which groups, silences and routes them (its API v2)."""

from __future__ import annotations

import json
from typing import Any

from .delivery import Receiver
from .incident import Incident, rfc3339
from .sink import Sent, Sink
from .store import Store

_FIRING_SECONDS = 900.0  # an incident is over when nothing of it has changed for so long
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
        incidents = self._store.incidents(changed_after=now - _FIRING_SECONDS)
        ends = now + 4.0 * self.seconds
        alerts = [_alert(one, now, ends) for one in incidents]
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
    began = min(now, incident.first_seen)
    streams = f"{incident.alerts} stream{'s' if incident.alerts > 1 else ''}"
    on_it = ". ".join(filter(None, (f"{incident.acknowledged} of {streams}", incident.on_it)))
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
            "summary": f"saw {incident.observed[:_LABEL]}, expected {incident.expected[:_LABEL]}",
            "description": f"{streams}, raised {incident.count} times; newest: {newest.text or ''}",
            "streams": ", ".join(incident.streams),
            "explain": f"offscript explain {newest.id}",
            "score": f"{newest.score:.2f}",
            "threshold": f"{newest.threshold:.2f}",
            **({"acknowledged": on_it} if incident.acknowledged else {}),
        },
        "startsAt": rfc3339(began) or rfc3339(now),
        "endsAt": rfc3339(ends),
    }
