"""Incidents to a web address: each at least once, signed, and none for what is kept quiet."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offscript.model.errors import InputError
from offscript.service.delivery import UndeliveredError
from offscript.service.sink import Sent
from offscript.service.store import Store
from offscript.service.suppression import Wish
from offscript.service.webhook import INCIDENT, Webhook, read_secret
from offscript.tests.service.alerts import ALERT, other
from offscript.tests.service.receivers import Receiver


@pytest.fixture
def webhook(store: Store, receiver: Receiver) -> Webhook:
    made = Webhook(receiver.url, store, secret=None)
    made.send(time.time())  # from now on
    return made


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for body in receiver.bodies]


def test_alerts_of_many_streams_by_one_mechanism_are_one_event(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    store.write([other(n, time=100.0 + n, last_seen=100.0 + n) for n in range(8)])
    store.write([other(9, observed="z")])

    assert webhook.send(time.time()) == Sent(2)
    many, one = events(receiver)

    assert many["type"] == INCIDENT
    assert many["specversion"] == "1.0"
    assert many["time"] == "1970-01-01T00:01:47.000+00:00"
    data = many["data"]
    assert isinstance(data, dict)
    assert (data["observed"], data["expected"], data["alerts"], data["count"]) == ("x", "y", 8, 8)
    assert data["streams"] == ["s7", "s6", "s5", "s4", "s3"]
    assert data["newest"]["id"] == "a7"
    assert one["id"] != many["id"]
    assert webhook.send(time.time()) == Sent(0)
    assert len(receiver.bodies) == 2


def test_alerts_of_two_models_are_two_events(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    store.write([other(1), other(2, model_name="db"), other(3, model_name="db")])

    assert webhook.send(time.time()) == Sent(2)
    told = events(receiver)
    assert [(e["data"]["model_name"], e["data"]["alerts"]) for e in told] == [("", 1), ("db", 2)]
    assert len({str(event["id"]).partition("-")[0] for event in told}) == 2


def test_what_was_there_before_the_first_time_is_not_told(store: Store, receiver: Receiver) -> None:
    store.write([other(1)])
    webhook = Webhook(receiver.url, store, secret=None)

    assert [webhook.send(time.time()), webhook.send(time.time())] == [Sent(), Sent()]
    assert not receiver.bodies


def test_another_service_goes_on_where_the_last_one_was(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    store.write([other(1)])
    webhook.send(time.time())
    store.write([other(2, observed="z")])

    later = Webhook(receiver.url, store, secret=None)

    assert later.send(time.time()) == Sent(1)
    assert [event["subject"] for event in events(receiver)] == ["event/x", "event/z"]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_is_not_taken_is_sent_again_as_the_same_event(
    store: Store, webhook: Webhook, receiver: Receiver, status: int
) -> None:
    receiver.answers = [(200, {}), (status, {"Retry-After": "7"}), (200, {})]
    store.write([other(1)])
    store.write([other(2, observed="z")])

    with pytest.raises(UndeliveredError, match=f"answered {status}: as you like") as caught:
        webhook.send(time.time())
    assert caught.value.retry_seconds == 7.0
    store.write([other(3, observed="later")])
    assert webhook.send(time.time()) == Sent(2)

    first, failed, again = events(receiver)
    assert failed == again
    assert webhook.send(time.time()) == Sent(1)
    assert first["id"] != again["id"]


def test_what_waits_for_a_receiver_that_is_away_is_no_more_than_the_store_keeps(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    receiver.answers = [(503, {})]
    for turn in range(5):
        store.write([other(100 * turn + n, observed=f"kind {n % 5}") for n in range(100)])
        with pytest.raises(UndeliveredError):
            webhook.send(time.time())
    tried = len(receiver.bodies)
    while store.forget(before=0.0, most=50).more:
        pass
    receiver.answers = [(200, {})]

    taken = [webhook.send(time.time()).taken for _ in range(3)]

    assert tried == 5  # one event, until it is taken
    assert taken == [0, 5, 0]
    assert sum(event["data"]["alerts"] for event in events(receiver)[tried:]) == 50


def test_what_came_before_a_failure_is_not_lost_when_things_change_meanwhile(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    receiver.answers = [(200, {}), (503, {}), (200, {})]
    store.write([other(1), other(2, observed="z"), other(3), other(4, observed="z")])
    with pytest.raises(UndeliveredError):
        webhook.send(time.time())
    store.record("a4", "normal", "", "")

    assert webhook.send(time.time()) == Sent(2)
    data = events(receiver)[-1]["data"]
    assert isinstance(data, dict)
    assert data["streams"] == ["s2"]


@pytest.mark.parametrize("moment", [-1e12, 1e15])
def test_a_time_that_no_calendar_has_is_null(
    store: Store, webhook: Webhook, receiver: Receiver, moment: float
) -> None:
    store.write([other(1, first_seen=moment, last_seen=moment)])

    assert webhook.send(time.time()) == Sent(1)
    assert events(receiver)[0]["time"] is None


def test_what_is_refused_is_not_sent_again(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    receiver.answers = [(410, {}), (200, {})]
    store.write([other(1)])
    store.write([other(2, observed="z")])

    sent = webhook.send(time.time())

    assert sent.taken == 1
    assert "answered 410" in sent.refused[0]
    assert webhook.send(time.time()) == Sent()


def test_nobody_is_told_of_what_is_quiet_or_normal(
    store: Store, webhook: Webhook, receiver: Receiver
) -> None:
    store.write([other(1), other(2, observed="z"), other(4, observed="bad")])
    store.record("a1", "normal", "", "", Wish(everywhere=True, seconds=60.0))
    store.record("a2", "normal", "", "")
    store.record("a4", "anomalous", "", "")
    store.write([other(3)])

    assert webhook.send(time.time()) == Sent(1)
    assert [event["subject"] for event in events(receiver)] == ["event/bad"]


def test_events_are_signed_as_standard_webhooks_asks(store: Store, receiver: Receiver) -> None:
    webhook = Webhook(receiver.url, store, secret=b"0123456789abcdef")
    webhook.send(1700.0)
    store.write([ALERT])
    webhook.send(1700.5)

    (headers,), (body,) = receiver.headers, receiver.bodies
    moment = headers["webhook-timestamp"]
    signed = f"{headers['webhook-id']}.{moment}.".encode() + body
    digest = hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()
    assert abs(float(moment) - time.time()) < 60.0  # of the message, not of the round
    assert headers["webhook-signature"] == f"v1,{b64encode(digest).decode()}"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert headers["webhook-id"] == json.loads(body)["id"]


def test_unknown_times_are_null(store: Store, webhook: Webhook, receiver: Receiver) -> None:
    nan = float("nan")
    store.write([replace(ALERT, time=100.0, text="\N{SNOWMAN}\0")])
    store.write([other(2, observed="z", times=(nan, nan, nan))])

    assert webhook.send(time.time()) == Sent(2)
    assert json.loads(receiver.bodies[0])["data"]["newest"]["text"] == "\N{SNOWMAN}\0"


def test_a_receiver_that_is_not_there_is_one_clear_line(store: Store, receiver: Receiver) -> None:
    webhook = Webhook("http://127.0.0.1:1/hook?token=x", store, secret=None)
    webhook.send(time.time())
    store.write([ALERT])

    with pytest.raises(UndeliveredError) as caught:
        webhook.send(time.time())

    assert "http://127.0.0.1:1 cannot be reached" in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:9093", "ftp://host/x", "http://", "http://[::1", "http://a:b@host"]
)
def test_what_is_no_url_is_refused(store: Store, address: str) -> None:
    with pytest.raises(InputError, match="expected a URL like"):
        Webhook(address, store, secret=None)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"0123456789abcdef\n", b"0123456789abcdef"),
        (b"whsec_MDEyMzQ1Njc4OWFiY2RlZg==", b"0123456789abcdef"),
        (b"short", None),
        (b"whsec_not base64 at all!", None),
    ],
)
def test_a_secret_is_read_as_it_is_or_as_base64(
    tmp_path: Path, content: bytes, secret: bytes | None
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)

    if secret is None:
        with pytest.raises(InputError, match="holds no webhook secret"):
            read_secret(path)
    else:
        assert read_secret(path) == secret
