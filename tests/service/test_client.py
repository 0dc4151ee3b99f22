"""The client: what it is given arrives once, and what it asks is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from offscript.model.errors import InputError, NotFoundError, OverloadError
from offscript.service.client import Client
from offscript.tests.service.receivers import until

if TYPE_CHECKING:
    from offscript.service.config import ServiceConfig
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]
NOWHERE = "127.0.0.1:1"


def test_a_client_sends_asks_and_judges(client: Client, session: Lines) -> None:
    for line in session("0b", odd=True):
        client.line(line)
    client.event("something unheard of", stream="0c", time=1772452800.0, started=True)
    client.end("0c")
    assert client.flush(30)

    listed = list(client.alerts(stream="0b"))
    explanation = client.explain(listed[0].id, checks=False)
    judged = client.feedback(listed[0].id, "normal", comment="planned", by="ann").alert

    assert {alert.stream for alert in client.alerts()} == {"0b", "0c"}
    assert explanation.alert_id == judged.id == listed[0].id
    assert [alert.id for alert in client.alerts(status="normal")] == [judged.id]
    assert client.describe().format == "text"


def test_a_watch_sees_what_another_client_raises(client: Client, session: Lines) -> None:
    watching = Client(client._address)
    first = threading.Event()
    seen: list[str] = []

    def watch() -> None:
        for alert in watching.watch(since=1.0):
            seen.append(alert.stream)
            first.set()

    thread = threading.Thread(target=watch)
    thread.start()
    for line in session("0b", odd=True):
        client.line(line)
    client.flush(30)

    assert first.wait(30)
    watching.close()
    thread.join()
    assert seen[0] == "0b"


def test_a_watch_misses_nothing_that_came_while_the_service_was_away(
    config: ServiceConfig, in_process: InProcess, session: Lines, address: str
) -> None:
    with in_process(replace(config, grpc=address)) as first:
        watching = Client(address)
        seen: list[str] = []
        came = threading.Event()

        def watch() -> None:
            for alert in watching.watch():
                seen.append(alert.stream)
                came.set()

        thread = threading.Thread(target=watch)
        thread.start()
        asked = 'offscript_rpc_seconds_count{code="OK",method="ListAlerts"} 1'
        until(lambda: asked in first.server._metrics.text().decode())  # the watch has begun
    with in_process(config) as elsewhere, Client(elsewhere.address) as client:
        for line in session("0b", odd=True):
            client.line(line)
        client.flush(30)
    with in_process(replace(config, grpc=address)):
        assert came.wait(30)
        watching.close()
        thread.join()

    assert seen[0] == "0b"


def test_mistakes_are_told_in_our_own_errors(client: Client) -> None:
    with pytest.raises(NotFoundError, match="no alert 'nothing'"):
        client.explain("nothing")
    with pytest.raises(InputError, match="a verdict of normal, anomalous, ack"):
        client.feedback("nothing", "maybe")
    with pytest.raises(
        InputError, match="expected a status of open, normal, anomalous, suppressed, ack"
    ):
        list(client.alerts(status="other"))
    with pytest.raises(InputError, match="expected one of event"):
        list(client.alerts(detector="other"))
    wrong = Client(client._address)
    wrong.event("x" * 70_000)
    with pytest.raises(InputError, match="at most 65536 characters"):
        wrong.flush(30)
    with pytest.raises(InputError, match="at most 65536 characters"):
        wrong.event("y")
    wrong.close()


def test_no_service_is_one_clear_line() -> None:
    with pytest.raises(OverloadError, match=f"no answer from a service at {NOWHERE}: "):
        Client(NOWHERE).describe()


def test_a_failure_of_whoever_listens_reaches_whoever_sends(
    running: Running, session: Lines
) -> None:
    def fails(_: object) -> None:
        raise BrokenPipeError

    client = Client(running.address, acknowledged=fails)
    for line in session("0a"):
        client.line(line)

    with pytest.raises(BrokenPipeError):
        client.flush(30)
    client.close()


def test_half_a_surrogate_pair_does_no_harm(client: Client) -> None:
    client.event("good", stream="a")
    client.event("bad \ud83d", stream="b \ud83d")
    client.line("session=0a worse \ud83d", stream="c")

    assert client.flush(30)
    assert {alert.stream for alert in client.alerts()} >= {"a", "b ?"}
