"""Requests of OTLP and their answers, over gRPC and within the process."""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped] # it ships none
from grpc_status import rpc_status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from offscript.model.errors import OverloadError, StoreError
from offscript.model.folder import load_model
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service import intake as intake_module
from offscript.service.batch import Batch, Outcome
from offscript.service.config import LOGS_BYTES, ServiceConfig
from offscript.service.engine import Engine
from offscript.service.intake import LogIntake
from offscript.service.metrics import Metrics
from offscript.tests.service.conftest import NORMAL, ODD
from offscript.tests.service.engines import Service, nothing_read, raw
from offscript.tests.service.otlp_requests import export, method, record, request

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]


@pytest.fixture
def attributed(
    config: ServiceConfig, in_process: InProcess, tmp_path: Path
) -> Iterator[grpc.Channel]:
    """A service that takes the stream from an attribute."""
    other = replace(config, otlp_stream=("id",), store=f"sqlite:///{tmp_path}/attributed.db")
    with in_process(other) as service, grpc.insecure_channel(service.address) as channel:
        yield channel


def found(channel: grpc.Channel, stream: str) -> list[tuple[str, str, int]]:
    listed = DetectorStub(channel).ListAlerts(pb.ListAlertsRequest(stream=stream)).alerts
    return sorted((alert.detector, alert.observed, alert.count) for alert in listed)


def test_log_records_raise_the_alerts_that_the_same_lines_raise(
    channel: grpc.Channel, stub: DetectorStub, session: Lines
) -> None:
    stub.ScoreOnce(pb.EventBatch(lines=session("0a", odd=True)))
    lines = enumerate(session("0b", odd=True))
    answer = export(channel, request([record(line, second=n) for n, line in lines]))

    assert answer == ExportLogsServiceResponse()
    assert found(channel, "0b") == found(channel, "0a") != []


def test_the_stream_of_an_attribute_and_the_time_of_the_record_do_for_those_of_a_line(
    stub: DetectorStub, channel: grpc.Channel, attributed: grpc.Channel, session: Lines
) -> None:
    stub.ScoreOnce(pb.EventBatch(lines=session("0a", odd=True)))
    records = [record(f"session=x {text}", second=n, id="0a") for n, text in enumerate(ODD)]
    random.Random(3).shuffle(records)

    assert export(attributed, request(records)) == ExportLogsServiceResponse()
    assert found(attributed, "0a") == found(channel, "0a") != []


def test_a_body_with_a_key_and_no_time_stamp_is_no_part_of_the_record_before(
    service: Service, session: Lines
) -> None:
    records = [record(f"session=0a {text}", second=n) for n, text in enumerate(ODD)]
    engine = service.engine()
    answer = LogIntake(engine, ()).take(request(records).SerializeToString())

    assert answer.result(20) == ExportLogsServiceResponse()
    alerts = service.alerts()
    engine.submit(raw(session("0b", odd=True))).result(20)
    assert [("0b", *rest) for _, *rest in alerts] == [a for a in service.alerts() if a[0] == "0b"]


def test_an_event_by_name_is_the_one_that_the_model_knows_by_it(attributed: grpc.Channel) -> None:
    lines = [f"session=x {text}" for text in NORMAL]
    known = "session=<*> admin: console closed"
    records = [record(line, second=n, id="0a") for n, line in enumerate(lines[:-1])]
    for stream, last in {
        "0a": record(lines[-1], second=9, id="0a"),
        "0b": record(name=known, second=9, id="0b"),
        "0c": record(lines[-1], name="door.closed", second=9, id="0c"),
    }.items():
        for one in records:
            one.attributes[0].value.string_value = stream
        assert export(attributed, request([*records, last])) == ExportLogsServiceResponse()

    assert found(attributed, "0b") == found(attributed, "0a") == []
    assert {observed for _, observed, _ in found(attributed, "0c")} == {"<new>"}


def test_what_cannot_be_scored_is_counted_and_said_and_the_rest_is_scored(
    channel: grpc.Channel, session: Lines
) -> None:
    lines = [record(line, second=n) for n, line in enumerate(session("0b", odd=True))]
    answer = export(channel, request([*lines, record("no key"), record("  "), record()]))

    assert answer.partial_success.rejected_log_records == 3
    assert answer.partial_success.error_message == (
        "log records not scored: 1 with neither a body nor an event name; 1 with no stream key in "
        "the body (--otlp-stream makes one of attributes); 1 with a blank body"
    )
    assert found(channel, "0b")


@pytest.mark.parametrize("data", [b"", request([]).SerializeToString()])
def test_an_empty_request_succeeds(channel: grpc.Channel, data: bytes) -> None:
    assert method(channel)(data) == ExportLogsServiceResponse()


def test_a_request_that_comes_again_is_answered_again_and_scored_once(
    running: Running, channel: grpc.Channel, session: Lines
) -> None:
    lines = [*session("0b", odd=True), "no key"]
    data = request([record(line, second=n) for n, line in enumerate(lines)]).SerializeToString()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(method(channel), [data] * 24))
    counted = {
        sample.labels["outcome"]: sample.value
        for family in running.server._metrics.registry.collect()
        for sample in family.samples
        if sample.name == "offscript_events_total"
    }

    assert {answer.partial_success.rejected_log_records for answer in answers} == {1}
    assert counted["scored"] == 5
    assert counted["repeated"] == 23 * 6
    assert all(count == 1 for *_, count in found(channel, "0b"))


def test_a_repeat_waits_for_the_first_that_is_still_being_scored(service: Service) -> None:
    intake = LogIntake(service.engine(), ())
    data = request([record("session=0a hi")]).SerializeToString()

    assert intake.take(data) is intake.take(data)
    assert intake.take(data).result(20) == ExportLogsServiceResponse()


def test_a_request_is_remembered_for_as_long_as_it_has_no_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "_REMEMBERED_SECONDS", 0.0)
    engine = service.engine()
    intake = LogIntake(engine, ())
    data = request([record("session=0a hi")]).SerializeToString()

    with nothing_read(engine):
        first = intake.take(data)
        assert intake.take(data) is first
    first.result(20)
    assert intake.take(data) is not first


def test_records_without_any_time_are_no_repeats(service: Service) -> None:
    intake = LogIntake(service.engine(), ())
    unset = record("session=0a hi")
    unset.time_unix_nano = 0
    data = request([unset]).SerializeToString()

    assert intake.take(data) is not intake.take(data)


def test_what_is_remembered_of_a_request_holds_none_of_its_alerts(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = service.engine()
    intake, submit = LogIntake(engine, ()), engine.submit_all
    seen: list[weakref.ref[Future[Outcome]]] = []

    def submitted(batches: Sequence[Batch]) -> list[Future[Outcome]]:
        futures = submit(batches)
        seen.extend(map(weakref.ref, futures))
        return futures

    monkeypatch.setattr(engine, "submit_all", submitted)
    lines = session("0a", odd=True)
    answer = intake.take(request([record(line) for line in lines]).SerializeToString())
    answer.result(20)
    engine.stop()  # its threads may hold what they did last
    gc.collect()

    assert len(service.alerts()) == 1
    assert [future() for future in seen] == [None]


def test_a_request_is_forgotten_after_so_many_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "_REMEMBERED", 2)
    intake = LogIntake(service.engine(), ())
    data = [request([record(f"session=0a {n}")]).SerializeToString() for n in range(3)]
    first, second, _ = [intake.take(each) for each in data]

    assert intake.take(data[1]) is second
    assert intake.take(data[0]) is not first


def test_a_request_for_which_there_was_no_room_is_no_repeat_when_it_comes_again(
    service: Service,
) -> None:
    engine = Engine({"": service.model}, service.store, service.config, Metrics())
    intake = LogIntake(engine, ())
    data = request([record("session=0a hi")]).SerializeToString()
    with pytest.raises(OverloadError, match="not ready"):
        intake.take(data)
    engine.start()
    answer = intake.take(data)

    assert answer.result(20) == ExportLogsServiceResponse()
    engine.stop()


def test_one_who_stops_waiting_does_not_end_it_for_others(service: Service) -> None:
    answer = LogIntake(service.engine(), ()).take(
        request([record("session=0a hi")]).SerializeToString()
    )

    assert not answer.cancel()
    assert answer.result(20) == ExportLogsServiceResponse()


def test_a_store_that_fails_is_said_to_one_who_waits(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = service.engine()
    monkeypatch.setattr(intake_module, "_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(engine._writer, "error", OSError("the disk is full"))

    with pytest.raises(StoreError, match="the disk is full"):
        LogIntake(engine, ()).wait(Future())


def test_what_is_no_request_is_the_senders_mistake(channel: grpc.Channel, session: Lines) -> None:
    whole = request([record(line, id="0a") for line in session("0a")]).SerializeToString()
    rng = random.Random(5)
    spoiled = [bytes(rng.choices(range(256), k=rng.randrange(1, 200))) for _ in range(60)]
    spoiled += [whole[: rng.randrange(len(whole))] for _ in range(40)]
    for _ in range(60):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        spoiled.append(bytes(flipped))
    codes = Counter(method(channel).future(data).code() for data in spoiled)

    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > 60
    assert method(channel)(whole) == ExportLogsServiceResponse()


def test_a_request_past_the_limit_is_refused_for_good(channel: grpc.Channel) -> None:
    data = request([record("x" * LOGS_BYTES)]).SerializeToString()
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as caught:
            method(channel)(data, compression=compression)

        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_more_records_than_a_request_may_hold_are_refused(channel: grpc.Channel) -> None:
    call = method(channel).future(request([LogRecord()] * 262_145).SerializeToString())

    assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 262,144 log records" in call.details()


def test_a_full_queue_is_said_in_the_way_that_makes_senders_try_again(
    running: Running, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OverloadError("20 events wait to be scored", retry_seconds=0.25)

    monkeypatch.setattr(running.server._engine, "submit_all", full)
    with pytest.raises(grpc.RpcError) as caught:
        export(channel, request([record("session=0a hi")]))

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    status = rpc_status.from_call(caught.value)
    assert status is not None
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 250


def test_an_endless_model_takes_a_stream_from_each_host(
    config: ServiceConfig, in_process: InProcess, tiny_endless_model: Path
) -> None:
    assert load_model(tiny_endless_model).config.streams.endless
    with (
        in_process(replace(config, models={"": tiny_endless_model})) as service,
        grpc.insecure_channel(service.address) as channel,
    ):
        for host in ("h1", "h2"):
            records = [record(text, second=n) for n, text in enumerate(NORMAL)]
            assert not export(channel, request(records, {"host.name": host})).HasField(
                "partial_success"
            )
        streams = {
            alert.stream
            for alert in DetectorStub(channel).ListAlerts(pb.ListAlertsRequest()).alerts
        }

    assert streams == {"h1", "h2"}
