"""What is old or too much goes, batch by batch, and nothing else does."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from offscript.model.errors import InputError, NotFoundError
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service import tables
from offscript.service.config import ServiceConfig
from offscript.service.retention import Forgotten
from offscript.service.store import Store
from offscript.service.stored import Filter, StoredAlert
from offscript.tests.service.alerts import ALERT, other
from offscript.tests.service.schemas import leave_as

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]
MOST = 1_000_000


def ids(store: Store) -> list[str]:
    """All alerts, in the order in which they came."""
    return [stored.alert.id for stored in reversed(store.alerts(Filter(), limit=100_000))]


def judged(store: Store) -> list[int]:
    """The rows that feedback is kept of."""
    with store._database.reading() as connection:
        return list(connection.scalars(sa.select(tables.feedback.c.alert)))


def test_alerts_go_by_when_they_changed_last_and_not_by_the_time_of_their_events(
    store: Store,
) -> None:
    store.write([other(n, time=1e12, last_seen=1e12) for n in range(5)])  # events of the far future
    store.record("a1", "normal", "", "")
    time.sleep(0.01)
    now = time.time()
    store.write([other(2, time=1e12, last_seen=1e12), other(5), other(6)])  # and of the year 1970
    store.record("a3", "normal", "", "")

    forgotten = store.forget(before=now, most=MOST)

    assert forgotten == Forgotten(deleted=3, stored=4, more=False)
    assert ids(store) == ["a2", "a3", "a5", "a6"]
    assert store.alert("a2").alert.count == 2
    assert judged(store) == [store.alert("a3").row]


def test_past_their_number_the_longest_unchanged_go(store: Store) -> None:
    for n in range(6):
        store.write([other(n)])
        time.sleep(0.002)
    store.write([other(0)])

    forgotten = store.forget(before=-math.inf, most=3)

    assert forgotten == Forgotten(deleted=3, stored=3, more=False)
    assert ids(store) == ["a0", "a4", "a5"]


def weight(stored: StoredAlert) -> int:
    """Bytes that count for an alert."""
    return len(json.dumps(stored.alert.to_json()))


def test_past_their_bytes_the_longest_unchanged_go_and_no_more_than_must(store: Store) -> None:
    for n in range(6):
        line = "x" * 2000 if n % 2 else None
        store.write([other(n, tokens=(4,), times=(1.0,), lines=(line,))])
        time.sleep(0.002)
    size = sum(map(weight, store.alerts(Filter(), limit=9)))

    limits = (size, size - 1, size - 1)
    deleted = [store.forget(before=-math.inf, most=MOST, most_bytes=n).deleted for n in limits]
    left = ids(store)
    store.record("a1", "anomalous", "", "")  # does not count, nor go
    store.forget(before=-math.inf, most=MOST, most_bytes=1)

    assert deleted == [0, 1, 0]
    assert left == ["a1", "a2", "a3", "a4", "a5"]
    assert ids(store) == ["a1"]


def test_bytes_are_counted_a_part_at_a_time_and_once(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.service.retention._WEIGH_ALERTS", 4)
    for n in range(10):
        store.write([other(n)])
        time.sleep(0.002)
    one = weight(store.alert("a0"))

    first = store.forget(before=-math.inf, most=MOST, most_bytes=9.5 * one)
    store.close()
    again = Store(url)
    second, third = (
        again.forget(before=-math.inf, most=MOST, most_bytes=9.5 * one) for _ in range(2)
    )
    kept = ids(again)
    again.write([other(n) for n in range(10, 13)])
    again.forget(before=-math.inf, most=MOST, most_bytes=5.5 * one)
    left = ids(again)
    again.close()

    assert (first.more, second.more, third.more) == (True, True, False)
    assert kept == [f"a{n}" for n in range(1, 10)]
    assert left == [f"a{n}" for n in range(8, 13)]


def test_alerts_judged_anomalous_stay_until_that_is_taken_back(store: Store) -> None:
    store.write([other(n) for n in range(4)])
    store.record("a1", "anomalous", "an intruder", "ann")

    store.forget(before=math.inf, most=1)
    kept = store.alert("a1")
    store.record("a1", "normal", "no, a drill", "bob")
    store.forget(before=math.inf, most=1)

    assert [said.comment for said in kept.feedback] == ["an intruder"]
    assert ids(store) == []
    assert judged(store) == []


def test_those_judged_anomalous_leave_the_others_their_room(store: Store) -> None:
    store.write([other(n) for n in range(4)])
    for n in range(3):
        store.record(f"a{n}", "anomalous", "", "")

    assert store.forget(before=-math.inf, most=1) == Forgotten(deleted=0, stored=4, more=False)


def test_many_go_in_batches_also_across_a_restart(store: Store, url: str) -> None:
    store.write([other(n) for n in range(550)])

    first = store.forget(before=-math.inf, most=100)
    store.close()
    again = Store(url)
    second, third, fourth = (again.forget(before=-math.inf, most=100) for _ in range(3))
    left = ids(again)
    again.close()

    assert first == Forgotten(deleted=200, stored=350, more=True)
    assert second == Forgotten(deleted=200, stored=150, more=True)
    assert third == Forgotten(deleted=50, stored=100, more=False)
    assert fourth == Forgotten(deleted=0, stored=100, more=False)
    assert len(left) == 100


def test_a_model_goes_with_its_last_alert_unless_it_is_served(store: Store, url: str) -> None:
    store.keep_model("m1", {"weights": b"1"})
    store.keep_model("m0", {"weights": b"0"})  # raised no alert
    store.write([ALERT])
    store.close()
    second = Store(url)
    second.keep_model("m2", {"weights": b"2"})

    second.forget(before=-math.inf, most=MOST)
    while_needed = second.model_files("m1")
    with pytest.raises(NotFoundError):
        second.model_files("m0")
    second.forget(before=math.inf, most=MOST)

    assert while_needed == {"weights": b"1"}
    with pytest.raises(NotFoundError):
        second.model_files("m1")
    assert second.model_files("m2") == {"weights": b"2"}
    second.close()


def test_numbers_go_on_after_all_alerts_are_deleted(store: Store, url: str) -> None:
    store.write([other(1), other(2)])
    row, revision = store.alert("a2").row, store.revision

    store.forget(before=math.inf, most=MOST)
    store.close()
    second = Store(url)
    emptied = second.revision
    (stored,) = second.write([other(3)])
    changes = second.changes(Filter(), after=revision, limit=9)
    second.close()

    assert emptied == revision
    assert stored.row > row
    assert [change.alert.id for change in changes] == ["a3"]


def test_what_is_to_be_kept_is_kept_while_others_write(store: Store) -> None:
    store.write([other(n) for n in range(1000)])
    time.sleep(0.01)
    now = time.time()
    confirmed: set[str] = set()

    def raise_alerts() -> None:
        for n in range(5000, 5200, 4):
            store.write([other(n + more) for more in range(4)])

    def judge() -> None:
        for n in range(0, 1000, 10):
            with suppress(NotFoundError):
                confirmed.add(store.record(f"a{n}", "anomalous", "", "")[0].alert.id)

    others = [threading.Thread(target=work) for work in (raise_alerts, judge)]
    for thread in others:
        thread.start()
    while any(thread.is_alive() for thread in others):
        store.forget(before=now, most=MOST)
    for thread in others:
        thread.join()
    while store.forget(before=now, most=MOST).more:
        pass

    assert set(ids(store)) == confirmed | {f"a{n}" for n in range(5000, 5200)}
    assert set(judged(store)) == {store.alert(one).row for one in confirmed}


def test_alerts_of_a_store_of_schema_1_count_from_its_upgrade(store: Store, url: str) -> None:
    store.write([ALERT])
    leave_as(store, 1)
    now = time.time()

    second = Store(url)
    second.forget(before=now, most=MOST)
    second.write([other(2)])
    kept = ids(second)
    second.close()
    third = Store(url)
    third.forget(before=math.inf, most=MOST)

    assert kept == ["a1", "a2"]
    assert ids(third) == []
    third.close()


@pytest.mark.parametrize(
    "changes",
    [{"keep_days": 0.0}, {"keep_days": math.nan}, {"max_alerts": 0}, {"max_alert_bytes": 0}],
)
def test_a_service_that_would_keep_nothing_is_refused(
    config: ServiceConfig, changes: dict[str, object]
) -> None:
    with pytest.raises(InputError, match=f"{next(iter(changes))} is .* must be"):
        replace(config, **changes)  # type: ignore[arg-type] # fields of it


def samples(service: Running) -> dict[str, float]:
    with urllib.request.urlopen(f"{service.web}/metrics") as reply:
        families = text_string_to_metric_families(reply.read().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def until_deleted(service: Running, count: int) -> dict[str, float]:
    deadline = time.monotonic() + 60
    while (found := samples(service))["offscript_alerts_deleted_total"] < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_a_service_deletes_at_its_start_and_says_so(
    config: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    with in_process(config) as service, grpc.insecure_channel(service.address) as channel:
        lines = session("0b", odd=True)
        alerts = DetectorStub(channel).ScoreOnce(pb.EventBatch(lines=lines)).alerts
        DetectorStub(channel).Explain(pb.ExplainRequest(alert_id=alerts[0].id))
    with (
        in_process(replace(config, keep_days=1e-9)) as service,
        grpc.insecure_channel(service.address) as channel,
    ):
        found = until_deleted(service, len(alerts))
        with pytest.raises(grpc.RpcError) as caught:
            DetectorStub(channel).Explain(pb.ExplainRequest(alert_id=alerts[0].id))

    assert found["offscript_alerts_stored"] == 0
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert "or no longer; `offscript alerts` lists those kept" in (caught.value.details() or "")


def test_a_watch_goes_on_after_alerts_that_are_deleted(
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("offscript.service.writer._FORGET_SECONDS", 0.05)
    with (
        in_process(replace(config, max_alerts=1)) as service,
        grpc.insecure_channel(service.address) as channel,
    ):
        stub = DetectorStub(channel)
        watch = stub.WatchAlerts(pb.WatchAlertsRequest(since_micros=1))
        seen: list[pb.Alert] = []
        raised = 0
        for n in range(5):
            lines = session(f"{n:02x}", odd=True)
            alerts = stub.ScoreOnce(pb.EventBatch(lines=lines)).alerts
            raised += len(alerts)
            until_deleted(service, raised - 1)
            while not seen or seen[-1].stream != f"{n:02x}":
                seen.append(next(watch))
        again = stub.WatchAlerts(pb.WatchAlertsRequest(after_revision=seen[0].revision))
        newest = next(again)
        listed = stub.ListAlerts(pb.ListAlertsRequest(page_token=str(10**6)))
        watch.cancel()
        again.cancel()

    revisions = [alert.revision for alert in seen]
    assert revisions == sorted(set(revisions))
    assert newest.stream == "04"
    assert [alert.stream for alert in listed.alerts] == ["04"]
