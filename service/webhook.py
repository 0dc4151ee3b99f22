"""Incidents to a web address: CloudEvents, signed as Standard Webhooks asks, each at least once."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..model.errors import InputError
from .delivery import Receiver, RefusedError
from .incident import Incident
from .private import read_private
from .sink import Sent, Sink
from .store import Store

KIND = "offscript.incident.v1"
_PREFIX = b"whsec_"
_SHORTEST = 16  # of a secret, bytes
_JSON = "application/cloudevents+json; charset=utf-8"


class Webhook(Sink):
    """Posts what has changed since the last message that was taken; the store knows which that is.

    A receiver that gets one twice (its answer was lost) knows it by its id.
    """

    name = "webhook"
    seconds = 5.0

    def __init__(self, url: str, store: Store, *, secret: bytes | None) -> None:
        self._receiver = Receiver(url)
        self._store = store
        self._secret = secret

    def send(self, now: float) -> Sent:
        """Send every incident that has changed since; of the time before the first call, none."""
        latest, after = self._store.revision, self._store.cursor(self.name)
        if after is None:
            self._store.move_cursor(self.name, latest)
            return Sent()
        incidents = self._store.incidents(revisions=(after, latest)) if latest > after else []
        refused = []
        for incident in incidents:
            body = json.dumps(_event(incident)).encode()
            try:
                self._receiver.post(
                    body, {"Content-Type": _JSON, **self._signed(incident, body, now)}
                )
            except RefusedError as error:
                refused.append(str(error))
            # In the order of the latest change, so that what is not sent yet comes after it.
            self._store.move_cursor(self.name, incident.revision)
        return Sent(len(incidents) - len(refused), tuple(refused))

    def close(self) -> None:
        self._receiver.close()

    def _signed(self, incident: Incident, body: bytes, now: float) -> dict[str, str]:
        """The headers of Standard Webhooks 1.0: v1 is an HMAC-SHA256 of id.timestamp.body."""
        id_, moment = _id(incident), str(int(now))
        headers = {"webhook-id": id_, "webhook-timestamp": moment}
        if self._secret is not None:
            signed = hmac.new(self._secret, f"{id_}.{moment}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{b64encode(signed.digest()).decode()}"
        return headers


def read_secret(path: Path) -> bytes:
    """The secret of a file of ours alone: as it is, or as base64 after `whsec_`."""
    secret = read_private(path, "the webhook secret").strip()
    if secret.startswith(_PREFIX):
        try:
            secret = b64decode(secret.removeprefix(_PREFIX), validate=True)
        except ValueError:
            secret = b""
    if len(secret) < _SHORTEST:
        raise InputError(
            f"{path} holds no webhook secret: expected at least {_SHORTEST} characters, or whsec_ "
            "and base64 of as many bytes"
        )
    return secret


def _id(incident: Incident) -> str:
    """The same for the same change of the same mechanism."""
    mechanism = json.dumps([incident.detector, incident.observed, incident.expected])
    return f"{hashlib.sha256(mechanism.encode()).hexdigest()[:16]}-{incident.revision}"


def _event(incident: Incident) -> dict[str, Any]:
    """The incident as a CloudEvent 1.0; times are strings of RFC 3339, null where unknown."""
    newest = incident.newest
    return {
        "specversion": "1.0",
        "id": _id(incident),
        "source": f"/offscript/{newest.model[:12]}",
        "type": KIND,
        "subject": f"{incident.detector}/{incident.observed}"[:256],
        "time": _time(incident.last_seen),
        "datacontenttype": "application/json",
        "data": {
            "detector": incident.detector,
            "observed": incident.observed,
            "expected": incident.expected,
            "alerts": incident.alerts,
            "count": incident.count,
            "streams": list(incident.streams),
            "first_seen": _time(incident.first_seen),
            "last_seen": _time(incident.last_seen),
            "newest": {
                "id": newest.id,
                "model": newest.model,
                "stream": newest.stream,
                "score": newest.score,
                "threshold": newest.threshold,
                "surprisal": newest.surprisal,
                "text": newest.text,
            },
        },
    }


def _time(seconds: float) -> str | None:
    if math.isnan(seconds):
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
