"""Incidents to a web address: CloudEvents, signed as Standard Webhooks asks, each at least once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from ..model.errors import InputError
from .delivery import Receiver, RefusedError
from .incident import LASTING_SECONDS, Incident, rfc3339
from .private import read_private
from .sink import Sent, Sink
from .store import Store
from .storm import Storm

INCIDENT, STORM = "offscript.incident.v1", "offscript.storm.v1"
_STORM_TOLD = "webhook storm"  # a cursor: revision of the storm that was told last; 0: it is over
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
        super().__init__()
        self._receiver = Receiver(url)
        self._store = store
        self._secret = secret
        self._window: tuple[int, int] | None = None  # revisions that are being told
        self._decided: set[str] = set()  # ids of events in it that were taken or refused
        self._refused: list[str] = []

    def send(self, now: float) -> Sent:
        """Send every incident that has changed since; of the time before the first call, none.

        What has begun is brought to its end, if need be in many calls, before anything later.
        """
        if self._window is None:
            latest, after = self._store.revision, self._store.cursor(self.name)
            if after is None:
                self._store.move_cursor(self.name, latest)
            if after is None or latest == after:
                self._end_storm(now)
                return self._sent()
            self._window = (after, latest)
        storm = self._store.storm(revisions=self._window)
        events = [_event(incident) for incident in self._store.incidents(revisions=self._window)]
        for event in [*events, *([] if storm is None else [_storm(storm)])]:
            if event["id"] in self._decided:
                continue
            if self.ending:
                return Sent()
            self._post(event)
        if storm is not None:
            self._store.move_cursor(_STORM_TOLD, storm.revision)
        self._store.move_cursor(self.name, self._window[1])
        self._end_storm(now)
        return self._sent()

    def _end_storm(self, now: float) -> None:
        """Say so, once, when nothing of the storm that was told has changed for long."""
        told = self._store.cursor(_STORM_TOLD)
        if not told or self.ending:
            return
        if self._store.storm(changed_after=now - LASTING_SECONDS) is not None:
            return
        self._post(_envelope(f"storm-{told}-over", STORM, now) | {"data": {"state": "over"}})
        self._store.move_cursor(_STORM_TOLD, 0)

    def _post(self, event: dict[str, Any]) -> None:
        body = json.dumps(event).encode()
        headers = {"Content-Type": _JSON, **self._signed(event["id"], body)}
        try:
            self._receiver.post(body, headers)
        except RefusedError as error:
            self._refused.append(str(error))
        self._decided.add(event["id"])

    def _sent(self) -> Sent:
        sent = Sent(len(self._decided) - len(self._refused), tuple(self._refused))
        self._window, self._decided, self._refused = None, set(), []
        return sent

    def close(self) -> None:
        self._receiver.close()

    def _signed(self, id_: str, body: bytes) -> dict[str, str]:
        """The headers of Standard Webhooks 1.0: v1 is an HMAC-SHA256 of id.timestamp.body.

        The time is that of this message: receivers take none that is some minutes old.
        """
        moment = str(int(time.time()))
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


def _event(incident: Incident) -> dict[str, Any]:
    """The incident as a CloudEvent 1.0; its id is the same for the same change of the same."""
    newest = incident.newest
    return {
        **_envelope(f"{incident.kind}-{incident.revision}", INCIDENT, incident.last_seen),
        "source": f"/offscript/{newest.model[:12]}",
        "subject": f"{incident.detector}/{incident.observed}"[:256],
        "data": {
            "model_name": incident.model_name,
            "detector": incident.detector,
            "observed": incident.observed,
            "expected": incident.expected,
            "alerts": incident.alerts,
            "count": incident.count,
            "streams": list(incident.streams),
            "first_seen": rfc3339(incident.first_seen),
            "last_seen": rfc3339(incident.last_seen),
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


def _storm(storm: Storm) -> dict[str, Any]:
    """What changed of the storm as a CloudEvent."""
    return {
        **_envelope(f"storm-{storm.revision}", STORM, storm.last_seen),
        "data": {
            "state": "lasts",
            "kinds": storm.kinds,
            "alerts": storm.alerts,
            "count": storm.count,
            "streams": storm.streams,
            "first_seen": rfc3339(storm.first_seen),
            "last_seen": rfc3339(storm.last_seen),
            "first": storm.first,
            "most": storm.most,
            "sentence": storm.sentence,
        },
    }


def _envelope(id_: str, kind: str, moment: float) -> dict[str, Any]:
    """What every event has; the time is a string of RFC 3339, null where it is unknown."""
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "/offscript",
        "type": kind,
        "subject": "storm",
        "time": rfc3339(moment),
        "datacontenttype": "application/json",
    }
