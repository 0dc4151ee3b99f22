"""Requests that overtake one another, to a service that puts their events in order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.batch import Batch, Outcome
from offscript.service.config import ServiceConfig
from offscript.service.engine import Engine
from offscript.service.intake import LogIntake
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.tests.service.conftest import NORMAL, ODD
from offscript.tests.service.engines import Service, nothing_read, raw
from offscript.tests.service.otlp_requests import method, record, request

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, OwnProcess

Lines = Callable[..., list[str]]

SHUFFLED = [int(n) for n in random.Random(4).sample(range(60), 60)]
LONG = 60.0  # seconds, within which nothing comes out by itself


def requests() -> list[ExportLogsServiceRequest]:
    """Sixty requests in the order of their times, each with one event of four sessions."""
    return [
        request(
            record(
                f"session=x {(ODD if n == 0 else NORMAL)[second]}", second=second, id=f"{at}.{n}"
            )
            for n in range(4)
        )
        for second in range(len(NORMAL))
        for at in range(60 // len(NORMAL))
    ]


def batches(session: Lines) -> list[Batch]:
    """The same as batches of lines, which say when they were written."""
    return [
        raw([session(f"{at}{n}", odd=n == 0)[second] for n in range(4)], client=f"{second} {at}")
        for second in range(len(NORMAL))
        for at in range(60 // len(NORMAL))
    ]


def submitted(engine: Engine, which: Sequence[Batch]) -> list[Future[Outcome]]:
    """All of them come in before the first of them is read."""
    with nothing_read(engine):
        return [engine.submit(replace(batch, received=time.time())) for batch in which]


def shuffled(sixty: Sequence[Any]) -> list[Any]:
    assert len(sixty) == len(SHUFFLED)
    return [sixty[at] for at in SHUFFLED]


def scores(future: Future[Outcome]) -> list[float]:
    surprisal = future.result(20).surprisal
    assert surprisal is not None
    return [float(nats) for nats in surprisal]


def late(service: Service) -> float | None:
    return service.metrics.registry.get_sample_value("offscript_events_late_total", {"model": ""})


def waiting(engine: Engine) -> int:
    return sum(len(shard._reorder) for shard in engine.of()._shards)


def eventually(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def raised(
    start: InProcess, config: ServiceConfig, sent: Sequence[ExportLogsServiceRequest], threads: int
) -> list[tuple[str, str, str, int]]:
    """What requests raise that so many threads send, with each answer still to come where they
    wait; the service stops before they are due.
    """
    with start(config) as running, grpc.insecure_channel(running.address) as channel:
        engine = running.server._engine
        scored = running.server._metrics.events.labels("", "scored")._value

        def send(one: ExportLogsServiceRequest) -> Any:  # a future and a call
            call = method(channel).future(one.SerializeToString())
            if not config.reorder_seconds:
                call.result(20)
            return call

        with ThreadPoolExecutor(threads) as pool:
            calls = list(pool.map(send, sent))
        assert eventually(lambda: waiting(engine) + scored.get() == 4 * len(sent))
        running.stop()
        assert [call.result(20) for call in calls] == [ExportLogsServiceResponse()] * len(sent)
    store = Store(config.store)
    found = [stored.alert for stored in store.alerts(Filter(), limit=1000)]
    store.close()
    return sorted((a.stream, a.detector, a.observed, a.count) for a in found)


def test_requests_of_ten_consumers_raise_what_they_raise_in_order(
    in_process: InProcess, config: ServiceConfig, tmp_path: Path
) -> None:
    def found(
        name: str, sent: list[ExportLogsServiceRequest], threads: int, seconds: float
    ) -> object:
        store = f"sqlite:///{tmp_path}/{name}.db"
        own = replace(config, otlp_stream=("id",), store=store, reorder_seconds=seconds)
        return raised(in_process, own, sent, threads)

    in_order = found("in order", requests(), 1, 0.0)

    assert found("reordered", shuffled(requests()), 10, LONG) == in_order != []
    assert found("shuffled", shuffled(requests()), 1, 0.0) != in_order


def test_each_row_gets_the_score_that_it_has_in_order(service: Service, session: Lines) -> None:
    engine = service.engine()
    expected = shuffled([scores(engine.submit(batch)) for batch in batches(session)])
    alerts = service.alerts()
    assert late(service) == 0

    engine = service.engine(reorder_seconds=LONG)
    futures = submitted(engine, shuffled(batches(session)))
    assert eventually(lambda: waiting(engine) == sum(map(len, expected)))
    engine.stop()
    assert [scores(each) for each in futures] == expected
    assert [(*rest, 2 * count) for *rest, count in alerts] == service.alerts() != []
    assert late(service) == 0

    engine = service.engine()
    found = [scores(each) for each in submitted(engine, shuffled(batches(session)))]
    assert found != expected
    assert (late(service) or 0) > 50


def test_an_alert_has_the_lines_before_it_though_they_came_after(
    service: Service, session: Lines
) -> None:
    engine = service.engine(reorder_seconds=2.0, threads=2)
    lines = session("0a", odd=True)
    for each in submitted(engine, [raw([line]) for line in reversed(lines)]):
        each.result(20)
    (odd,) = (each.alert for each in service.store.alerts(Filter(), limit=9) if each.alert.unknown)

    assert odd.lines[-3:-1] == tuple(lines[:2])
    assert odd.lines[-1] == lines[2].replace("hunter2", "<redacted>")


def test_a_request_that_is_sent_again_while_it_waits_is_scored_once(service: Service) -> None:
    engine = service.engine(reorder_seconds=0.5)
    intake, data = LogIntake(engine, ("id",)), requests()[0].SerializeToString()
    first, again = intake.take(data), intake.take(data)

    assert first.result(20) == again.result(20) == ExportLogsServiceResponse()
    count = service.metrics.events
    assert count.labels("", "scored")._value.get() == 4
    assert count.labels("", "repeated")._value.get() == 4


def test_what_waits_is_scored_and_answered_when_the_service_is_terminated(
    own_process: OwnProcess, config: ServiceConfig
) -> None:
    process = own_process(
        replace(config, otlp_stream=("id",), reorder_seconds=LONG, grace_seconds=30.0)
    )
    with grpc.insecure_channel(process.address) as channel:
        calls = [method(channel).future(one.SerializeToString()) for one in requests()]
        stub = DetectorStub(channel)
        # It comes after them, and is answered at once.
        last = pb.EventBatch(seq=1, client="one", names=["x"], name_ix=[0])
        assert eventually(lambda: bool(stub.ScoreOnce(last).events))
        assert process.terminate() == 0
        answers = [call.result(20) for call in calls]

    assert answers == [ExportLogsServiceResponse()] * len(calls)


def test_who_holds_a_shard_or_ends_it_waits_for_nothing(service: Service, session: Lines) -> None:
    engine = service.engine(reorder_seconds=LONG)
    (shard,) = engine.of()._shards
    first = engine.submit(raw(session("0a")))
    assert eventually(lambda: waiting(engine) == len(NORMAL))
    assert not first.done()
    with shard.held():
        assert first.result(0).events == len(NORMAL)
    second = engine.submit(raw(session("0b")))
    assert eventually(lambda: waiting(engine) == len(NORMAL))
    assert not second.done()
    engine.stop()

    assert second.result(0).events == len(NORMAL)


def test_events_that_wait_for_others_are_no_reason_to_refuse_more(
    service: Service, session: Lines
) -> None:
    engine = service.engine(reorder_seconds=LONG, queue_seconds=0.1, queue_events=40)
    for n in range(20):  # many times what may wait
        engine.submit(raw(session(f"{n:04x}")))
        assert eventually(lambda: engine._load.events <= 20)
        if n == 2:
            time.sleep(0.2)

    assert waiting(engine) > 0


def test_a_stream_is_not_silent_while_an_event_of_it_waits(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.service.shard._TICK_SECONDS", 0.05)
    idle = service.model.config.streams.idle_seconds
    engine = service.engine(reorder_seconds=LONG)
    begin = 1_772_452_800.0
    lines = session("0a")
    engine.submit(raw(lines[:2], client="one", seq=1, times=np.full(2, begin))).result(20)
    rest = raw(lines[2:], client="two", times=np.full(len(lines) - 2, begin + idle - 1.0))
    waits = engine.submit(rest)
    assert eventually(lambda: waiting(engine) == len(lines) - 2)
    other = np.full(len(NORMAL), begin + idle + LONG / 2)
    engine.submit(raw(session("0b"), client="one", seq=2, times=other)).result(20)
    time.sleep(0.3)  # it looks for silent streams several times
    assert not waits.done()
    engine.stop()

    assert waits.result(0).events == len(lines) - 2
    assert service.alerts() == []
