"""An alert that was called normal can keep others of its mechanism quiet, for a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from offscript.model.errors import NotFoundError
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.service.suppression import Wish
from offscript.tests.service.alerts import ALERT, other

Lines = Callable[..., list[str]]
HERE, EVERYWHERE = Wish(everywhere=False, seconds=60.0), Wish(everywhere=True, seconds=60.0)


def statuses(store: Store, *numbers: int) -> list[str]:
    return [store.alert(f"a{number}").status for number in numbers]


def test_a_suppressed_mechanism_is_stored_and_not_shown(store: Store) -> None:
    store.write([other(1), other(2)])

    _, made = store.record("a1", "normal", "a release", "ann", EVERYWHERE)
    (stored,) = store.write([other(3)])

    assert made is not None
    assert (made.alert, made.stream, made.comment, made.by) == ("a1", None, "a release", "ann")
    assert stored.status == "suppressed"
    assert statuses(store, 1, 2, 3) == ["normal", "suppressed", "suppressed"]
    assert [s.alert.id for s in store.alerts(Filter(), limit=9)] == ["a1"]
    quiet = [s.alert.id for s in store.alerts(Filter(status="suppressed"), limit=9)]
    assert quiet == ["a3", "a2"]
    assert [one.count for one in store.suppressions()] == [1]


@pytest.mark.parametrize(
    ("field", "value"), [("detector", "end"), ("observed", "z"), ("expected", "z")]
)
def test_another_mechanism_is_heard(store: Store, field: str, value: str) -> None:
    store.write([other(1)])
    store.record("a1", "normal", "", "", EVERYWHERE)

    (stored,) = store.write([other(2, **{field: value})])

    assert stored.status == "open"


def test_another_mechanism_of_the_same_cause_is_heard_whichever_comes_first(store: Store) -> None:
    store.write([other(1)])
    store.record("a1", "normal", "", "", EVERYWHERE)

    (heard,) = store.write([other(2, expected="z")])
    both = store.write([other(3, stream="s2"), other(4, stream="s2", expected="z")])
    first, second = store.write([other(5), other(6, stream="s5", expected="z")])

    assert heard.status == "open"
    assert [(stored.alert.id, stored.status) for stored in both] == [
        ("a3", "suppressed"),
        ("a2", "open"),
    ]
    assert (first.status, second.status) == ("suppressed", "open")
    assert [s.alert.id for s in store.alerts(Filter(), limit=9)] == ["a6", "a2", "a1"]


def test_an_alert_of_the_kind_that_rests_on_other_events_is_heard(store: Store) -> None:
    rest_on = {"a2": ["p"], "a3": ["q", "p"], "a4": ["r", "p"], "a5": ["p", "r"], "a6": []}
    store.write([other(1)])
    _, made = store.record("a1", "normal", "", "", replace(EVERYWHERE, evidence=("p", "q")))

    stored = store.write([other(n) for n in range(2, 7)], grounds=lambda alert: rest_on[alert.id])

    assert made is not None
    assert made.evidence == ("p", "q")
    assert [one.status for one in stored] == ["suppressed"] * 2 + ["open"] + ["suppressed"] * 2
    assert store.suppressions() == [replace(made, count=4)]


def test_two_reasons_of_one_kind_can_be_quiet_and_one_heard_again(store: Store) -> None:
    store.write([other(1), other(2)])
    store.record("a1", "normal", "", "", replace(EVERYWHERE, evidence=("p",)))
    _, second = store.record("a2", "normal", "", "", replace(EVERYWHERE, evidence=("q",)))
    assert second is not None

    def statuses_of(first: int) -> list[str]:
        rest_on = {f"a{first + n}": [event] for n, event in enumerate("pqr")}
        alerts = [other(first + n) for n in range(3)]
        return [one.status for one in store.write(alerts, grounds=lambda one: rest_on[one.id])]

    before = statuses_of(3)
    store.revoke(second.id)

    assert before == ["suppressed", "suppressed", "open"]
    assert statuses_of(6) == ["suppressed", "open", "open"]


def test_a_suppression_of_an_unseen_event_has_its_line_as_long_as_its_alert_is_kept(
    store: Store,
) -> None:
    store.write([other(1, observed="<new>", text="disk 7\0 failed"), other(2)])
    _, unseen = store.record("a1", "normal", "", "", EVERYWHERE)
    _, known = store.record("a2", "normal", "", "", EVERYWHERE)
    assert unseen is not None
    assert known is not None

    assert (unseen.line, known.line) == ("disk 7\N{REPLACEMENT CHARACTER} failed", "")
    assert store.suppressions() == [known, unseen]
    assert store.revoke(unseen.id).line == unseen.line
    store.forget(before=time.time() + 1.0, most=9)
    assert [one.line for one in store.suppressions()] == ["", ""]


def test_one_stream_can_be_kept_quiet_alone(store: Store) -> None:
    store.write([other(1), other(2)])
    store.record("a1", "normal", "", "", HERE)
    later = {"time": 9000.0, "first_seen": 9000.0, "last_seen": 9000.0}

    same, another = store.write([other(3, stream="s1", **later), other(4)])

    assert (same.status, another.status) == ("suppressed", "open")
    assert statuses(store, 2) == ["open"]


def test_a_suppression_ends_by_itself_and_when_it_is_revoked(store: Store) -> None:
    store.write([other(1)])
    store.record("a1", "normal", "", "", replace(EVERYWHERE, seconds=0.2))
    time.sleep(0.3)
    (after,) = store.write([other(2)])
    _, made = store.record("a1", "normal", "", "", EVERYWHERE)
    assert made is not None
    (during,) = store.write([other(3)])

    ended = store.revoke(made.id[:12])
    (again,) = store.write([other(4, stream="s3", time=110.0, last_seen=110.0)])

    assert [after.status, during.status, again.status] == ["open", "suppressed", "open"]
    assert again.alert.id != during.alert.id
    assert not ended.active(time.time())
    assert store.revoke(made.id) == ended
    assert len(store.suppressions()) == 2


def test_what_was_called_anomalous_is_never_quiet(store: Store) -> None:
    store.write([other(1), other(2)])
    store.record("a2", "anomalous", "", "")
    store.record("a1", "normal", "", "", EVERYWHERE)

    (stored,) = store.write([other(2, time=110.0, last_seen=110.0)])

    assert stored.status == "anomalous"
    # Two hours later it is another row, of which nobody has said anything yet.
    later = [other(9, stream="s2", time=at, last_seen=at) for at in (7400.0, 7500.0)]
    assert [store.write([alert])[0].status for alert in later] == ["open", "open"]


def test_what_was_called_normal_since_it_was_called_anomalous_can_be_quiet(store: Store) -> None:
    store.write([other(1)])
    store.record("a1", "anomalous", "", "")
    store.record("a1", "normal", "", "", HERE)

    (stored,) = store.write([other(2, stream="s1", time=110.0, last_seen=110.0)])

    assert stored.status == "suppressed"


def test_every_alert_that_is_made_quiet_changes_after_those_before(store: Store) -> None:
    store.write([other(number) for number in range(5)])
    store.record("a0", "normal", "", "", EVERYWHERE)

    revisions = [store.alert(f"a{number}").revision for number in range(5)]

    assert revisions == sorted(set(revisions))
    assert store.revision == revisions[-1]


def test_names_that_a_database_cannot_hold_are_recognised(store: Store) -> None:
    store.write([other(1, observed="a\0b", stream="s\0")])
    store.record("a1", "normal", "\0", "", HERE)

    (stored,) = store.write([replace(ALERT, id="a2", observed="a\0b", stream="s\0", time=9e9)])

    assert stored.status == "suppressed"


def test_similar_alerts_come_with_what_was_said_of_them(store: Store) -> None:
    store.write([other(1), other(2), other(3, expected="z"), other(4)])
    store.record("a2", "normal", "a release", "ann", EVERYWHERE)

    similar = store.similar(store.alert("a1").alert, limit=9)

    assert [stored.alert.id for stored in similar] == ["a4", "a2"]
    assert [said.comment for said in similar[1].feedback] == ["a release"]
    assert len(store.similar(store.alert("a1").alert, limit=1)) == 1


def test_a_suppression_that_is_not_there_cannot_be_revoked(store: Store) -> None:
    store.write([other(1)])
    for _ in range(2):
        store.record("a1", "normal", "", "", EVERYWHERE)

    for stranger in ("", "%", "nothing"):
        with pytest.raises(NotFoundError, match="no suppression"):
            store.revoke(stranger)


@pytest.fixture
def alert(stub: DetectorStub, session: Lines) -> pb.Alert:
    """One alert that was raised by an odd session."""
    return stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True))).alerts[0]


def test_a_mechanism_is_suppressed_listed_and_heard_again(
    stub: DetectorStub, alert: pb.Alert, session: Lines
) -> None:
    judged = stub.Feedback(
        pb.FeedbackRequest(
            alert_id=alert.id,
            verdict=pb.VERDICT_NORMAL,
            comment="new firmware",
            by="ann",
            suppress=pb.Wish(everywhere=True, seconds=3600),
        )
    )

    def raised(key: str) -> set[str]:
        found = stub.ScoreOnce(pb.EventBatch(lines=session(key, odd=True))).alerts
        return {one.observed for one in found if one.detector == alert.detector}

    assert judged.alert.status == pb.STATUS_NORMAL
    assert judged.suppression.active
    assert not judged.suppression.HasField("stream")
    assert alert.observed not in raised("0c")
    quiet = stub.ListAlerts(pb.ListAlertsRequest(status=pb.STATUS_SUPPRESSED)).alerts
    assert [one.stream for one in quiet if one.observed == alert.observed] == ["0c"]
    explanation = stub.Explain(pb.ExplainRequest(alert_id=quiet[0].id))
    similar = explanation.similar
    assert [entry.comment for entry in similar[0].feedback] == ["new firmware"]
    same = json.loads(explanation.json)["similar"][0]
    assert (same["alert"], same["status"]) == (alert.id, "normal")
    assert [said["comment"] for said in same["feedback"]] == ["new firmware"]
    assert same["same"]
    assert same["evidence"]
    (listed,) = stub.ListSuppressions(pb.ListSuppressionsRequest()).suppressions
    assert (listed.id, listed.count) == (judged.suppression.id, 1)

    ended = stub.Revoke(pb.RevokeRequest(suppression_id=listed.id[:10])).suppression

    assert not ended.active
    assert ended.revoked_micros
    assert alert.observed in raised("0d")


def test_an_alert_of_a_suppressed_kind_is_heard_if_something_else_speaks_for_it(
    stub: DetectorStub,
) -> None:
    def raised(key: str, *messages: str) -> list[pb.Alert]:
        """The alerts of a shop's session in which a chunk of a backup is written."""
        said = ("app: login ok for user 1", "app: standard cart opened", *messages)
        lines = [
            f"2026-03-02 12:00:0{second}.000 session={key} {message}"
            for second, message in enumerate((*said, "backup: chunk 1 written"))
        ]
        found = stub.ScoreOnce(pb.EventBatch(lines=lines)).alerts
        return [one for one in found if one.observed.endswith("chunk <*> written")]

    (alert,) = raised("0a")
    judged = stub.Feedback(
        pb.FeedbackRequest(
            alert_id=alert.id,
            verdict=pb.VERDICT_NORMAL,
            suppress=pb.Wish(everywhere=True, seconds=3600),
        )
    )
    same, (heard,) = raised("0b"), raised("0c", *["web: page 7 viewed in 8 ms"] * 2)

    assert same == []
    assert (heard.detector, heard.observed, heard.expected) == (
        alert.detector,
        alert.observed,
        alert.expected,
    )
    assert judged.suppression.evidence[0].endswith("standard cart opened")
    (listed,) = stub.ListSuppressions(pb.ListSuppressionsRequest()).suppressions
    assert (listed.evidence, listed.count) == (judged.suppression.evidence, 1)


@pytest.mark.parametrize(
    ("verdict", "seconds", "complaint"),
    [
        (pb.VERDICT_ANOMALOUS, 60, "expected the verdict normal"),
        (pb.VERDICT_NORMAL, 0, "expected 1 to "),
        (pb.VERDICT_NORMAL, 1 << 60, "ten years"),
    ],
)
def test_a_suppression_that_makes_no_sense_is_refused(
    stub: DetectorStub, alert: pb.Alert, verdict: pb.Verdict.ValueType, seconds: int, complaint: str
) -> None:
    request = pb.FeedbackRequest(
        alert_id=alert.id, verdict=verdict, suppress=pb.Wish(seconds=seconds)
    )

    with pytest.raises(grpc.RpcError, match=complaint) as caught:
        stub.Feedback(request)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not stub.ListAlerts(pb.ListAlertsRequest(status=pb.STATUS_NORMAL)).alerts
