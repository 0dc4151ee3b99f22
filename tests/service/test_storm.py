"""What begins past an hour's budget of incidents is told as one, for as long as it lasts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from offscript.model.errors import InputError
from offscript.protos import detector_pb2 as pb
from offscript.service import tables
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.incident import UNKNOWN
from offscript.service.sink import Sent
from offscript.service.store import Store
from offscript.service.webhook import INCIDENT, STORM, Webhook
from offscript.tests.service.alerts import of_unknown, other
from offscript.tests.service.receivers import Receiver

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


@pytest.fixture
def few(store: Store, url: str) -> Iterator[Store]:
    """The store of a service that tells two incidents an hour by themselves."""
    opened = Store(url, incidents_per_hour=2)
    yield opened
    opened.close()


def kinds(store: Store) -> list[str]:
    return sorted(incident.observed for incident in store.incidents())


def a_release(store: Store, *, first: int = 0, count: int = 5) -> None:
    """Alerts of several kinds, each in three streams."""
    for kind in range(first, first + count):
        store.write([other(10 * kind + n, observed=f"k{kind}") for n in range(3)])


def pass_time(store: Store, seconds: float) -> None:
    """Let everything that is stored be older."""
    with store._database.writing() as connection:
        for table, names in (
            (tables.incidents, ("began", "changed")),
            (tables.alerts, ("changed",)),
        ):
            older = {name: table.c[name] - seconds for name in names}
            connection.execute(sa.update(table).values(older))


def test_incidents_past_the_budget_are_one_storm(few: Store) -> None:
    a_release(few)
    few.write([other(99, observed="k3", count=9)])

    storm = few.storm()

    assert kinds(few) == ["k0", "k1"]
    assert storm is not None
    assert (storm.kinds, storm.alerts, storm.streams, storm.count) == (3, 10, 10, 18)
    assert storm.first == "event saw k2, expected y"
    assert storm.most == "event saw k3, expected y"
    assert "train again" in storm.sentence
    assert "`offscript alerts --since 1970-01-01T00:01:40.000+00:00`" in storm.sentence
    assert few.incidents_held == 3


def test_unknown_events_take_the_place_of_one_incident(few: Store) -> None:
    few.write([alert for n in range(9) for alert in of_unknown(n)])
    few.write(of_unknown(9))
    few.write([other(20, observed="k0")])

    assert kinds(few) == ["<new>", "k0"]
    assert few.storm() is None


def test_a_storm_names_unknown_events(few: Store) -> None:
    a_release(few, count=2)
    few.write([replace(alert, model_name="db") for n in range(3) for alert in of_unknown(90 + n)])

    storm = few.storm()

    assert storm is not None
    assert (storm.kinds, storm.alerts, storm.streams) == (1, 12, 3)
    assert storm.first == storm.most == "unknown events of db"


def test_what_an_incident_is_told_as_holds_while_it_lasts_and_over_a_restart(
    few: Store, url: str
) -> None:
    a_release(few)
    for _ in range(8):  # more than an hour: by then there is room
        pass_time(few, 600.0)
        a_release(few)
    again = Store(url, incidents_per_hour=2)
    a_release(again)

    assert kinds(again) == ["k0", "k1"]
    storm = again.storm()
    assert storm is not None
    assert storm.kinds == 3
    assert again.incidents_held == 0  # none began
    again.close()


def test_what_begins_when_there_is_room_again_is_told_by_itself(few: Store) -> None:
    a_release(few)
    pass_time(few, 1000.0)
    few.write([other(1, observed="k0"), other(90, observed="k9")])
    held = few.incidents_held
    pass_time(few, 4000.0)
    few.write([other(91, observed="k9"), other(92, observed="k2")])

    assert held == 5  # it begins again after its end, and finds no room
    assert {one.observed for one in few.incidents(changed_after=time.time() - 900.0)} == {
        "k9",
        "k2",
    }
    assert few.storm(changed_after=time.time() - 900.0) is None


def test_what_was_called_normal_begins_no_incident(few: Store) -> None:
    few.write([other(99)])
    few.record("a99", "normal", "", "")
    pass_time(few, 4000.0)
    few.write([other(99)])
    a_release(few, count=2)

    assert few.storm() is None


def test_an_alert_that_was_called_anomalous_is_taken_out_of_the_storm(few: Store) -> None:
    a_release(few)
    few.record("a40", "anomalous", "an intruder", "ann")

    assert kinds(few) == ["k0", "k1", "k4"]

    few.write([other(41, observed="k4", stream="s40")])  # the same again

    assert kinds(few) == ["k0", "k1", "k4"]


def test_a_webhook_tells_of_a_storm_what_changed_and_when_it_is_over(
    few: Store, receiver: Receiver
) -> None:
    webhook = Webhook(receiver.url, few, secret=None)
    webhook.send(time.time())
    a_release(few)
    receiver.answers = [(200, {}), (200, {}), (410, {}), (200, {})]
    first = webhook.send(time.time())
    few.write([other(50, observed="k2", stream="s50")])
    later = Webhook(receiver.url, few, secret=None)  # of the service after a restart
    rest = [later.send(time.time()), later.send(time.time())]
    over = [later.send(time.time() + 1000.0), later.send(time.time() + 1000.0)]

    assert (first.taken, len(first.refused)) == (2, 1)
    assert [sent.taken for sent in rest] == [1, 0]
    assert over == [Sent(1), Sent()]
    told: list[dict[str, Any]] = [json.loads(body) for body in receiver.bodies]
    assert [event["type"] for event in told] == [INCIDENT, INCIDENT, STORM, STORM, STORM]
    storms = [event["data"] for event in told[2:]]
    assert [one["state"] for one in storms] == ["lasts", "lasts", "over"]
    assert [(one["kinds"], one["alerts"]) for one in storms[:2]] == [(3, 9), (1, 1)]
    assert len({event["id"] for event in told}) == 5


def test_a_service_counts_what_it_holds_back(
    config: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    with (
        in_process(replace(config, incidents_per_hour=1)) as service,
        Client(service.address) as client,
    ):
        client.score_once(pb.EventBatch(lines=session("0a", odd=True)))
        client.score_once(pb.EventBatch(lines=session("0b", odd=False)[::-1]))
        found = {
            UNKNOWN if one.unknown else (one.detector, one.observed, one.expected)
            for one in client.alerts()
        }
        text = service.server._metrics.text().decode()

    assert len(found) > 1
    assert UNKNOWN in found
    assert f"offscript_incidents_held_total {len(found) - 1:.1f}" in text


def test_a_budget_of_nothing_is_refused(config: ServiceConfig) -> None:
    with pytest.raises(InputError, match="incidents_per_hour is 0; it must be at least 1"):
        replace(config, incidents_per_hour=0)
