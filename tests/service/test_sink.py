"""A service tells others of incidents: a webhook and a real Alertmanager."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from offscript.model.errors import InputError
from offscript.protos import detector_pb2 as pb
from offscript.service.alertmanager import Alertmanager
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.service.suppression import Wish
from offscript.service.webhook import Webhook
from offscript.tests.ports import kept_address
from offscript.tests.service.alerts import of_unknown, other
from offscript.tests.service.receivers import Receiver, until

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    for sink in (Alertmanager, Webhook):
        monkeypatch.setattr(sink, "seconds", 0.2)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager."""
    names = ("prometheus-alertmanager", "alertmanager")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        text = "no Alertmanager is here; scripts/servers says how to get it"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with kept_address() as address:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/config.yml",
                f"--storage.path={folder}/data",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stderr=subprocess.DEVNULL,
        )

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(ready, 60.0)
        yield f"http://{address}"
        process.terminate()
        process.wait(60)


def firing(alertmanager: str) -> list[dict[str, Any]]:
    """What Alertmanager would tell people of."""
    url = f"{alertmanager}/api/v2/alerts?active=true"
    with urllib.request.urlopen(url, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


@pytest.mark.usefixtures("often")
def test_alertmanager_hears_what_fires_and_what_was_called_normal(
    config: ServiceConfig, in_process: InProcess, alertmanager: str, session: Lines
) -> None:
    with (
        in_process(replace(config, alertmanager=alertmanager)) as service,
        Client(service.address) as client,
    ):
        for key in ("0a", "0b"):
            client.score_once(pb.EventBatch(lines=session(key, odd=True)))
        # Between two messages of a service that is slow to send them an alert may lapse.
        (told,) = until(
            lambda: [
                f
                for f in firing(alertmanager)
                if f["labels"]["observed"] == "<new>" and "2 streams" in str(f["annotations"])
            ]
        )
        for alert in client.alerts():
            client.feedback(alert.id, "normal")
        until(lambda: not firing(alertmanager))

    assert told["labels"]["alertname"] == "OffscriptAnomaly"
    assert told["annotations"]["summary"] == "unknown events in 2 streams"
    assert told["annotations"]["streams"] in ("0a, 0b", "0b, 0a")
    assert "<redacted>" in told["annotations"]["description"]
    assert told["annotations"]["explain"].startswith("offscript explain ")


def test_an_incident_ends_when_nothing_of_it_has_changed_for_long(
    store: Store, alertmanager: str
) -> None:
    sink = Alertmanager(alertmanager, store)
    store.write([other(1, observed="left alone")])
    now = time.time()

    def heard() -> list[dict[str, Any]]:
        return [f for f in firing(alertmanager) if f["labels"]["observed"] == "left alone"]

    sink.send(now)
    until(heard)
    sink.send(now + 1000.0)

    assert sink.send(now + 1000.0).taken == 0
    sink.close()


def test_a_thousand_streams_with_an_unknown_event_are_one_incident_and_a_known_one_another(
    store: Store, url: str, alertmanager: str
) -> None:
    receiver, name = Receiver(), url.partition(":")[0]
    webhook, sink = Webhook(receiver.url, store, secret=None), Alertmanager(alertmanager, store)
    webhook.send(time.time())
    alerts = [alert for n in range(1000) for alert in of_unknown(n)]
    alerts.append(other(1000, observed="a known one", stream="s7"))
    store.write([replace(alert, model_name=name) for alert in alerts])

    def heard() -> dict[str, dict[str, str]]:
        return {
            f["labels"]["observed"]: f["annotations"]
            for f in firing(alertmanager)
            if f["labels"].get("model") == name
        }

    assert sink.send(time.time()).taken == 2
    assert webhook.send(time.time()).taken == 2
    receiver.stop()
    until(lambda: len(heard()) == 2)
    told = heard()
    for one in (sink, webhook):
        one.close()

    assert {observed: said["summary"] for observed, said in told.items()} == {
        "<new>": "unknown events in 1000 streams",
        "a known one": "saw a known one, expected y",
    }
    unknown = told["<new>"]
    assert unknown["description"].startswith("4000 alerts in 1000 streams, raised 4000 times; ")
    assert unknown["description"].endswith("disk 7 failed")
    assert unknown["streams"] == "s999, s998, s997, s996, s995"
    assert unknown["explain"] == "offscript explain 999n"
    posted = sorted((json.loads(body) for body in receiver.bodies), key=lambda one: one["subject"])
    assert [one["subject"] for one in posted] == ["event/a known one", "new/<new>"]
    assert [(one["data"]["alerts"], one["data"]["expected"]) for one in posted] == [
        (1, "y"),
        (4000, ""),
    ]


@pytest.mark.usefixtures("often")
def test_a_webhook_that_fails_holds_nothing_up_and_gets_all_in_the_end(
    config: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    receiver = Receiver(answers=[(500, {"Retry-After": "0.1"})] * 3 + [(204, {})])

    def metric(name: str) -> float:
        with urllib.request.urlopen(f"{service.web}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name)))

    with (
        in_process(replace(config, webhook=receiver.url)) as service,
        Client(service.address) as client,
    ):
        store = service.server._store
        until(lambda: store.cursor("webhook") is not None)  # its first look, from which on it tells
        reply = client.score_once(pb.EventBatch(lines=session("0a", odd=True)))
        until(lambda: metric('offscript_sink_up{sink="webhook"}') == 0.0)
        until(lambda: metric('offscript_sink_incidents_total{outcome="taken",sink="webhook"}'))
    receiver.stop()

    taken = {json.loads(body)["id"] for body in receiver.bodies[3:]}
    assert reply.alerts
    assert json.loads(receiver.bodies[0])["id"] in taken
    data = json.loads(receiver.bodies[3])["data"]
    assert data["newest"]["id"] in {alert.id for alert in reply.alerts}


def test_alertmanager_hears_of_which_model_an_incident_is(store: Store, alertmanager: str) -> None:
    store.write([other(1, observed="two"), other(2, observed="two", model_name="db")])
    Alertmanager(alertmanager, store).send(time.time())

    until(lambda: any(f["labels"]["observed"] == "two" for f in firing(alertmanager)))
    told = [f["labels"] for f in firing(alertmanager) if f["labels"]["observed"] == "two"]
    assert sorted(labels.get("model", "") for labels in told) == ["", "db"]


def test_what_is_suppressed_does_not_fire(store: Store, alertmanager: str) -> None:
    sink = Alertmanager(alertmanager, store)
    store.write([other(1, observed="quiet")])
    store.record("a1", "normal", "", "", Wish(everywhere=True, seconds=60.0))
    store.write([other(2, observed="quiet")])

    assert sink.send(time.time()).taken == 0
    sink.close()


def test_alertmanager_hears_who_is_on_an_incident_and_when_it_is_resolved(
    store: Store, alertmanager: str
) -> None:
    sink = Alertmanager(alertmanager, store)
    store.write([other(1, observed="disk"), other(2, observed="disk")])
    sink.send(time.time())

    def heard() -> list[dict[str, Any]]:
        return [f for f in firing(alertmanager) if f["labels"]["observed"] == "disk"]

    until(heard)
    (before,) = heard()
    store.record("a1", "acknowledged", "looking", "ann")
    sink.send(time.time())
    until(lambda: "acknowledged" in heard()[0]["annotations"])
    (after,) = heard()
    for id_ in ("a1", "a2"):
        store.record(id_, "resolved", "", "")
    sink.send(time.time())
    until(lambda: not heard())
    store.record("a2", "open", "it is not over", "bob")
    sink.send(time.time())
    until(heard)
    (opened,) = heard()
    sink.close()

    assert opened["annotations"]["description"].startswith("1 alert in 1 stream,")
    assert (opened["fingerprint"], "acknowledged" in opened["annotations"]) == (
        before["fingerprint"],
        False,
    )
    assert "acknowledged" not in before["annotations"]
    assert after["annotations"]["acknowledged"] == "1 of 2 alerts. ann: looking"
    assert after["fingerprint"] == before["fingerprint"]  # no other alert


def test_alertmanager_hears_of_a_storm_as_one_alert_until_it_is_over(
    store: Store, url: str, alertmanager: str
) -> None:
    few = Store(url, incidents_per_hour=1)
    few.write([other(n, observed=f"storm {n}") for n in range(4)])
    now = time.time()
    Alertmanager(alertmanager, few).send(now)

    def heard() -> list[dict[str, Any]]:
        return [
            found
            for found in firing(alertmanager)
            if found["labels"]["alertname"] == "OffscriptStorm"
            or found["labels"]["observed"].startswith("storm")
        ]

    until(lambda: len(heard()) == 2)
    before = heard()
    sink = Alertmanager(alertmanager, few)  # of the service after a restart
    few.write([other(9, observed="storm 3", stream="s9")])
    sink.send(now + 1.0)
    until(lambda: "4 alerts" in str(heard()))
    after = heard()
    for stored in few.alerts(Filter(), limit=9):
        few.record(stored.alert.id, "resolved", "", "")
    sink.send(time.time())
    until(lambda: not heard())
    few.close()
    sink.close()

    assert {f["fingerprint"] for f in before} == {f["fingerprint"] for f in after}
    (told,) = [f for f in after if f["labels"]["alertname"] == "OffscriptStorm"]
    assert told["annotations"]["summary"] == "3 more kinds of alerts than are told each by itself"
    assert told["annotations"]["description"].startswith(
        "4 alerts in 4 streams, raised 4 times. This looks like a release: train again."
    )
    assert told["annotations"]["first"] == "event saw storm 1, expected y"


def test_a_secret_without_a_webhook_is_refused(config: ServiceConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give that too"):
        replace(config, webhook_secret=tmp_path / "secret")
