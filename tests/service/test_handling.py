"""An alert that somebody is on is told no more, and one that was dealt with is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc
import pytest

from offscript.model.alert import Alert
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.sink import Sent
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.service.suppression import Wish
from offscript.service.webhook import Webhook
from offscript.tests.service.alerts import other
from offscript.tests.service.receivers import Receiver, until

Lines = Callable[..., list[str]]


def again(number: int) -> Alert:
    """The cause of alert 1 once more, as another alert."""
    return other(number, stream="s1", time=110.0, last_seen=110.0)


def listed(store: Store, status: str) -> list[str]:
    return [stored.alert.id for stored in store.alerts(Filter(status=status), limit=9)]


def test_the_same_cause_counts_up_while_somebody_is_on_it(store: Store) -> None:
    store.write([other(1)])
    store.record("a1", "acknowledged", "looking", "ann")

    (stored,) = store.write([again(2)])

    assert (stored.alert.id, stored.alert.count, stored.status) == ("a1", 2, "acknowledged")


def test_the_same_cause_is_a_new_alert_once_it_was_resolved(store: Store) -> None:
    store.write([other(1)])
    store.record("a1", "resolved", "a new disk", "ann")

    both = store.write([again(2), again(3)])

    assert [(stored.alert.id, stored.alert.count) for stored in both] == [("a2", 2), ("a2", 2)]
    assert listed(store, "open") == ["a2"]
    assert listed(store, "resolved") == ["a1"]
    assert listed(store, "") == ["a2", "a1"]


@pytest.mark.parametrize("handled", ["acknowledged", "resolved"])
@pytest.mark.parametrize("verdict", ["normal", "anomalous"])
def test_what_was_said_of_an_alert_stays_when_it_is_handled(
    store: Store, verdict: str, handled: str
) -> None:
    store.write([other(1), other(2)])
    store.record("a1", verdict, "so it is", "ann")

    stored, _ = store.record("a1", handled, "", "bob")

    assert stored.status == handled
    assert [said.verdict for said in stored.feedback] == [verdict, handled]
    assert listed(store, verdict) == ["a1"]
    assert listed(store, handled) == ["a1"]


def test_what_is_found_out_later_opens_no_alert_again(store: Store) -> None:
    store.write([other(1), other(2), other(3)])
    for id_, handled in (("a1", "acknowledged"), ("a2", "resolved"), ("a3", "resolved")):
        store.record(id_, handled, "", "")
        store.record(id_, "anomalous" if id_ != "a3" else "normal", "", "")

    assert [store.alert(id_).status for id_ in ("a1", "a2", "a3")] == [
        "acknowledged",
        "resolved",
        "normal",
    ]
    assert listed(store, "anomalous") == ["a2", "a1"]


def test_an_anomalous_alert_that_was_resolved_is_kept_for_ever_and_never_quiet(
    store: Store,
) -> None:
    store.write([other(1), other(2)])
    store.record("a1", "anomalous", "", "")
    store.record("a1", "resolved", "", "")
    store.record("a2", "normal", "", "", Wish(everywhere=True, seconds=60.0))

    (stored,) = store.write([again(3)])
    store.forget(before=time.time() + 60.0, most=0)

    assert stored.status == "open"
    assert listed(store, "") == ["a1"]


def test_an_incident_keeps_what_is_acknowledged_and_lets_go_what_is_resolved(store: Store) -> None:
    store.write([other(1), other(2), other(3)])
    store.record("a1", "acknowledged", "looking", "ann")
    store.record("a2", "resolved", "", "")

    (incident,) = store.incidents()

    assert (incident.alerts, incident.acknowledged, incident.on_it) == (2, 1, "ann: looking")


@pytest.mark.parametrize("said", ["acknowledged", "resolved", "normal"])
def test_what_is_opened_again_fires_and_is_told_as_if_it_had_come_now(
    store: Store, receiver: Receiver, said: str
) -> None:
    webhook = Webhook(receiver.url, store, secret=None)
    webhook.send(time.time())
    store.write([other(1)])
    store.record("a1", said, "a new disk", "ann")
    before = webhook.send(time.time())
    said_at = time.time()

    stored, _ = store.record("a1", "open", "it is not the disk", "bob")

    (incident,) = store.incidents(changed_after=said_at)
    assert (before, webhook.send(time.time())) == (Sent(0), Sent(1))
    assert (incident.alerts, incident.acknowledged, incident.on_it) == (1, 0, "")
    assert (stored.status, [one.verdict for one in stored.feedback]) == ("open", [said, "open"])
    assert (listed(store, "open"), listed(store, said)) == (["a1"], [])
    (again_,) = store.write([again(2)])
    assert (again_.alert.id, again_.alert.count) == ("a1", 2)
    assert store.deeds(limit=1)[0].what == "alert a1 is open, says bob"


def test_an_anomalous_alert_that_is_opened_again_stays_anomalous(store: Store) -> None:
    store.write([other(1)])
    store.record("a1", "anomalous", "", "")
    store.record("a1", "resolved", "", "")

    assert store.record("a1", "open", "", "")[0].status == "anomalous"
    assert store.incidents() != []
    assert listed(store, "anomalous") == ["a1"]


def test_a_suppressed_alert_that_is_opened_fires_while_others_of_its_kind_stay_quiet(
    store: Store,
) -> None:
    store.write([other(1), other(2)])
    store.record("a1", "normal", "", "", Wish(everywhere=True, seconds=60.0))
    store.record("a2", "open", "", "")

    store.write([other(3)])

    assert listed(store, "open") == ["a2"]
    assert listed(store, "suppressed") == ["a3"]
    assert [one.alerts for one in store.incidents()] == [1]


def test_the_webhook_tells_nothing_of_what_is_acknowledged(
    store: Store, receiver: Receiver
) -> None:
    webhook = Webhook(receiver.url, store, secret=None)
    webhook.send(time.time())
    store.write([other(1)])
    store.record("a1", "acknowledged", "", "")
    store.write([again(2)])
    first = webhook.send(time.time())
    store.write([other(3)])

    assert first == Sent(0)
    assert webhook.send(time.time()) == Sent(1)


def test_an_alert_is_handled_over_the_wire_and_that_is_on_record(
    stub: DetectorStub, session: Lines
) -> None:
    alert, *_ = stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True))).alerts
    seen: list[pb.Alert] = []
    watch = stub.WatchAlerts(pb.WatchAlertsRequest(after_revision=alert.revision))

    def look() -> None:
        for one in watch:
            if one.id == alert.id:
                seen.append(one)
            if len(seen) == 3:
                return

    watching = threading.Thread(target=look)
    watching.start()
    for n, verdict in enumerate((pb.VERDICT_ACKNOWLEDGED, pb.VERDICT_RESOLVED, pb.VERDICT_OPEN)):
        stub.Feedback(
            pb.FeedbackRequest(alert_id=alert.id, verdict=verdict, comment="a disk", by="ann")
        )
        if verdict == pb.VERDICT_ACKNOWLEDGED:
            status = pb.STATUS_ACKNOWLEDGED
            found = stub.ListAlerts(pb.ListAlertsRequest(status=status)).alerts
            assert [one.id for one in found] == [alert.id]
        until(lambda: len(seen) > n)  # noqa: B023
    watching.join(30)
    watch.cancel()

    assert [one.status for one in seen] == [
        pb.STATUS_ACKNOWLEDGED,
        pb.STATUS_RESOLVED,
        pb.STATUS_OPEN,
    ]
    assert [said.comment for said in seen[-1].feedback] == ["a disk"] * 3
    deeds = stub.ListDeeds(pb.ListDeedsRequest()).deeds
    assert [deed.what for deed in deeds if deed.action == "verdict"] == [
        f"alert {alert.id} is {said}, says ann" for said in ("open", "resolved", "acknowledged")
    ]


def test_what_is_acknowledged_cannot_be_suppressed_with_it(
    stub: DetectorStub, session: Lines
) -> None:
    alert, *_ = stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True))).alerts
    request = pb.FeedbackRequest(
        alert_id=alert.id, verdict=pb.VERDICT_ACKNOWLEDGED, suppress=pb.Wish(seconds=60)
    )

    with pytest.raises(grpc.RpcError, match="expected the verdict normal with it, got acknow"):
        stub.Feedback(request)
