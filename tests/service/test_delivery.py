"""A receiver that hangs, or has had too much, is given its time and loses nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from offscript.protos import detector_pb2 as pb
from offscript.service import delivery
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.delivery import UndeliveredError
from offscript.service.sink import Sent
from offscript.service.store import Store
from offscript.service.webhook import Webhook
from offscript.tests.service.alerts import other
from offscript.tests.service.receivers import Receiver, until

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("12", 12.0),
        ("1e9", 3600.0),
        ("-1", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
    ],
)
def test_a_receiver_that_has_had_too_much_says_how_long_to_wait(
    store: Store, receiver: Receiver, asked: str, seconds: float | None
) -> None:
    webhook = Webhook(receiver.url, store, secret=None)
    webhook.send(time.time())  # from now on
    receiver.answers = [(429, {"Retry-After": asked})]
    store.write([other(1)])

    with pytest.raises(UndeliveredError, match="answered 429") as caught:
        webhook.send(time.time())

    assert caught.value.retry_seconds == seconds


def test_a_receiver_that_hangs_is_given_up_and_gets_the_same_event_when_it_talks(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = Webhook(receiver.url, store, secret=None)
    webhook.send(time.time())
    store.write([other(1)])
    receiver.talks.clear()
    with (
        monkeypatch.context() as impatient,
        pytest.raises(UndeliveredError, match=r"cannot be reached: Read timed out"),
    ):
        impatient.setattr(delivery, "_READ_SECONDS", 0.3)
        webhook.send(time.time())
    until(lambda: receiver.bodies)
    receiver.talks.set()

    assert webhook.send(time.time()) == Sent(1)
    given_up, again = map(json.loads, receiver.bodies)
    assert given_up == again


def test_a_webhook_that_hangs_keeps_neither_events_nor_the_end_waiting_and_the_next_service_tells(
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_READ_SECONDS", 0.5)
    receiver.talks.clear()
    monkeypatch.setattr(Webhook, "seconds", 0.2)
    told = replace(config, webhook=receiver.url)
    with in_process(told) as service, Client(service.address) as client:
        store = service.server._store
        until(lambda: store.cursor("webhook") is not None)  # its first look, from which on it tells
        client.score_once(pb.EventBatch(lines=session("0a", odd=True)))
        until(lambda: receiver.bodies)
        for n in range(20):
            for line in session(f"1{n:03x}", odd=True):
                client.line(line)
        arrived = client.flush(30)
    hung = [json.loads(body)["id"] for body in receiver.bodies]
    receiver.talks.set()

    def kinds_told() -> set[str]:
        """The same incident has another number by now, as it has grown."""
        later = receiver.bodies[len(hung) :]
        return {json.loads(body)["id"].partition("-")[0] for body in later}

    with in_process(told):
        until(lambda: hung[0].partition("-")[0] in kinds_told())

    assert arrived
    assert len(set(hung)) == 1  # nothing later before it
