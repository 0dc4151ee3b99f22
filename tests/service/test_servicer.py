"""Every method over a real channel: what it answers, and what it says to bad requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped] # it ships none
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from offscript.model.errors import OverloadError
from offscript.model.folder import load_model, save_model
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.config import ServiceConfig
from offscript.tests.service.versions import reweighed

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]
METHODS = (
    "ScoreOnce",
    "ListAlerts",
    "Explain",
    "Feedback",
    "ListSuppressions",
    "Revoke",
    "DescribeModel",
)


@pytest.fixture
def alert(stub: DetectorStub, session: Lines) -> pb.Alert:
    """One alert that was raised by an odd session."""
    lines = session("0b", odd=True)
    return stub.ScoreOnce(pb.EventBatch(lines=lines)).alerts[0]


def details(error: grpc.RpcError) -> dict[str, Any]:
    """The details of a google.rpc.Status by kind."""
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    assert status is not None
    found: dict[str, Any] = {}
    for detail in status.details:
        for kind in ("BadRequest", "RetryInfo", "ErrorInfo"):
            message = getattr(error_details_pb2, kind)()
            if detail.Unpack(message):
                found[kind] = message
    return found


def test_a_stream_of_batches_is_acknowledged_in_order(stub: DetectorStub, session: Lines) -> None:
    batches = [
        pb.EventBatch(seq=n + 1, client="me", lines=session(f"{n:02x}"), want_scores=n == 3)
        for n in range(20)
    ]

    replies = list(stub.Score(iter(batches)))

    assert [reply.seq for reply in replies] == list(range(1, 21))
    assert [reply.events for reply in replies] == [5] * 20
    assert [len(reply.surprisal) for reply in replies] == [0, 0, 0, 5, *[0] * 16]
    assert replies[3].row == [0, 1, 2, 3, 4]


def test_an_empty_batch_is_acknowledged(stub: DetectorStub) -> None:
    assert stub.ScoreOnce(pb.EventBatch(seq=3)) == pb.ScoreBatch(seq=3)


def test_an_alert_is_listed_explained_and_judged(stub: DetectorStub, alert: pb.Alert) -> None:
    listed = stub.ListAlerts(pb.ListAlertsRequest(stream="0b")).alerts
    explanation = stub.Explain(pb.ExplainRequest(alert_id=alert.id, checks=True))
    judged = stub.Feedback(
        pb.FeedbackRequest(
            alert_id=alert.id, verdict=pb.VERDICT_ANOMALOUS, comment="new firmware", by="ann"
        )
    ).alert

    assert alert.id in {one.id for one in listed}
    assert alert.observed == "<new>"
    assert alert.position == 3  # the third line is the odd one
    assert "password=<redacted>" in alert.text
    assert explanation.alert_id == alert.id
    assert explanation.completeness_error <= 1e-9
    assert explanation.sentence
    assert explanation.sentence.split()[0] in explanation.text
    told = json.loads(explanation.json)
    assert told["alert"] == alert.id
    assert told["instead"]["following"][0]["after"] == 1  # the session went on
    assert [entry.by for entry in judged.feedback] == ["ann"]
    assert judged.revision > alert.revision
    open_ones = stub.ListAlerts(pb.ListAlertsRequest(status=pb.STATUS_OPEN)).alerts
    assert alert.id not in {one.id for one in open_ones}


def test_alerts_come_in_pages(stub: DetectorStub, session: Lines) -> None:
    lines = [line for n in range(7) for line in session(f"{n}", odd=True)]
    stub.ScoreOnce(pb.EventBatch(lines=lines))
    every = [one.id for one in stub.ListAlerts(pb.ListAlertsRequest()).alerts]
    paged: list[str] = []
    token = ""
    while token or not paged:
        page = stub.ListAlerts(pb.ListAlertsRequest(page_size=3, page_token=token))
        assert len(page.alerts) <= 3
        paged += [one.id for one in page.alerts]
        token = page.next_page_token

    assert len(every) >= 7
    assert paged == every


def test_a_watch_shows_what_was_and_then_what_comes(stub: DetectorStub, session: Lines) -> None:
    first = stub.ScoreOnce(pb.EventBatch(lines=session("0a", odd=True))).alerts
    watch = stub.WatchAlerts(pb.WatchAlertsRequest(since_micros=1))
    seen = [next(watch) for _ in first]
    stub.Feedback(pb.FeedbackRequest(alert_id=first[0].id, verdict=pb.VERDICT_NORMAL))
    judged = next(watch)
    second = stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True))).alerts
    seen_later = [next(watch) for _ in second]
    watch.cancel()

    assert {one.id for one in seen} == {one.id for one in first}
    assert (judged.id, judged.feedback[0].verdict) == (first[0].id, pb.VERDICT_NORMAL)
    assert {one.stream for one in seen_later} == {"0b"}


def test_a_watch_goes_on_after_a_revision(stub: DetectorStub, session: Lines) -> None:
    first = stub.ScoreOnce(pb.EventBatch(lines=session("0a", odd=True))).alerts
    stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True)))
    after = max(one.revision for one in first)
    watch = stub.WatchAlerts(pb.WatchAlertsRequest(after_revision=after))

    assert next(watch).stream == "0b"
    watch.cancel()


def test_the_model_is_described(stub: DetectorStub) -> None:
    model = stub.DescribeModel(pb.DescribeModelRequest())

    assert model.stream_key == r"session=(\w+)"
    assert model.format == "text"
    assert model.events[:4] == ["<start>", "<past>", "<end>", "<new>"]
    assert {limit.detector for limit in model.limits} >= {"event", "end"}


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message_are_an_invalid_argument(
    channel: grpc.Channel, method: str
) -> None:
    call: Any = channel.unary_unary(f"/offscript.v1.Detector/{method}")

    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff")

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "BadRequest" in details(caught.value)


@pytest.mark.parametrize("method", ["Score", "WatchAlerts"])
def test_a_stream_of_bytes_that_are_no_message_ends_as_an_invalid_argument(
    channel: grpc.Channel, method: str
) -> None:
    name = f"/offscript.v1.Detector/{method}"
    ask: Any = channel.stream_stream(name) if method == "Score" else channel.unary_stream(name)
    call = ask(iter([b"", b"\xff"]) if method == "Score" else b"\xff")

    with pytest.raises(grpc.RpcError) as caught:
        list(call)

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_mistake_is_told_by_field(stub: DetectorStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ScoreOnce(pb.EventBatch(lines=["x"], streams=["a"], stream_ix=[1]))

    found = details(caught.value)["BadRequest"]
    assert found.field_violations[0].field == "stream_ix"
    assert "indexes below 1, got 1" in found.field_violations[0].description


def test_an_unknown_alert_is_not_found(stub: DetectorStub) -> None:
    for ask in (
        lambda: stub.Explain(pb.ExplainRequest(alert_id="nothing")),
        lambda: stub.Feedback(pb.FeedbackRequest(alert_id="no", verdict=pb.VERDICT_NORMAL)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            ask()
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_message_that_is_too_large_is_refused_as_that(stub: DetectorStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ScoreOnce(pb.EventBatch(lines=["x" * 60_000] * 100))

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_full_queue_says_when_to_come_again(
    config: ServiceConfig, in_process: InProcess, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_process(config) as service, grpc.insecure_channel(service.address) as channel:

        def full(_: object) -> None:
            raise OverloadError("20 events wait to be scored", retry_seconds=0.25)

        monkeypatch.setattr(service.server._engine, "submit", full)
        with pytest.raises(grpc.RpcError) as caught:
            DetectorStub(channel).ScoreOnce(pb.EventBatch(lines=session("0a")))

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    retry = details(caught.value)["RetryInfo"]
    assert retry.retry_delay.ToMilliseconds() == 250


def test_a_failure_of_ours_says_nothing_of_its_inside(
    running: Running,
    stub: DetectorStub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(running.server._store, "alerts", fails)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListAlerts(pb.ListAlertsRequest())

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert "secret" not in (caught.value.details() or "")
    assert "a secret of the inside" in caplog.text


def test_health_and_reflection_know_the_service(channel: grpc.Channel) -> None:
    for name in ("", "offscript.v1.Detector"):
        request = health_pb2.HealthCheckRequest(service=name)
        stub: Any = health_pb2_grpc.HealthStub(channel)  # the stubs know no methods
        status = stub.Check(request).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    reflect: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    replies = reflect.ServerReflectionInfo(iter([ask]))
    names = [service.name for service in next(replies).list_services_response.service]
    assert "offscript.v1.Detector" in names


def test_a_slow_reader_holds_up_nobody_else(
    config: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    batch = pb.EventBatch(lines=["2026-03-02 12:00:00.000 no session"] * 10)
    sent = 0

    def endless() -> Iterator[pb.EventBatch]:
        nonlocal sent
        while sent < 100_000:
            sent += 1
            yield batch

    with (
        # What a busy machine has yet to score of the one is no reason to refuse the others.
        in_process(replace(config, queue_seconds=60.0)) as running,
        grpc.insecure_channel(running.address) as channel,
        grpc.insecure_channel(running.address) as other,
    ):
        stuck = DetectorStub(other).Score(endless())
        next(stuck)  # and never again
        for n in range(20):
            assert DetectorStub(channel).ScoreOnce(pb.EventBatch(lines=session(f"{n}"))).events == 5
        stuck.cancel()

    assert sent < 100_000


def test_an_old_alert_is_explained_by_its_own_model_after_a_restart(
    config: ServiceConfig, in_process: InProcess, session: Lines, tmp_path: Path, tiny_model: Path
) -> None:
    first = load_model(tiny_model)
    weaker = replace(first.weights, W_U=first.weights.W_U * 0.5)
    other = save_model(reweighed(first, weaker), tmp_path / "other-model")
    with in_process(config) as service, grpc.insecure_channel(service.address) as channel:
        stub = DetectorStub(channel)
        alert = stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True))).alerts[0]
        before = stub.Explain(pb.ExplainRequest(alert_id=alert.id, checks=True))
    later = replace(config, models={"": tmp_path / "other-model"})
    with in_process(later) as service, grpc.insecure_channel(service.address) as channel:
        stub = DetectorStub(channel)
        served = stub.DescribeModel(pb.DescribeModelRequest()).sha256
        after = stub.Explain(pb.ExplainRequest(alert_id=alert.id, checks=True))

    assert alert.model == first.sha256 != other.sha256 == served
    # What came after the alert is not known any more, so what if is not asked of it.
    assert (after.sentence, after.total) == (before.sentence, before.total)
    assert list(after.evidence) == list(before.evidence)
