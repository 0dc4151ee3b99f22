"""Tests of what waits for too long, and of what nobody waits for any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest

from offscript.model.errors import OverloadError
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.batch import Batch
from offscript.service.config import ServiceConfig
from offscript.service.served import Load
from offscript.service.shard import Shard
from offscript.service.ticket import Part
from offscript.tests.service.clock import Clock
from offscript.tests.service.conftest import Running
from offscript.tests.service.engines import Service, all_scored, nothing_read, raw
from offscript.tests.service.receivers import until

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What those who wait for room, and those who keep them waiting, take for the time."""
    clock = Clock()
    for module in ("turns", "served"):
        monkeypatch.setattr(f"offscript.service.{module}.time", clock)
    return clock


def test_where_events_have_waited_for_long_no_more_are_taken(
    service: Service, session: Lines
) -> None:
    engine = service.engine(queue_seconds=0.2)
    with nothing_read(engine):
        first = engine.submit(raw(session("0a")))
        time.sleep(0.3)
        with pytest.raises(
            OverloadError, match=r"waited for \d+\.\d s to be scored, at most 0.2 s"
        ):
            engine.submit(raw(session("0b")))
        with pytest.raises(OverloadError, match="send more later"):
            engine.check_wait()

    assert first.result(30).events == 5
    all_scored(engine)
    # What waited for room is not old when it is taken.
    late = raw(session("0c"), received=time.time() - 60.0)
    assert engine.submit(late).result(30).events == 5
    all_scored(engine)
    assert engine.submit(raw(session("0d"))).result(30).events == 5


def test_who_can_wait_leaves_room_for_who_cannot(
    service: Service, session: Lines, clock: Clock
) -> None:
    engine = service.engine(queue_seconds=2.0)
    with nothing_read(engine):
        engine.submit(raw(session("0a")), patient=True)
        clock.now += 0.6
        with pytest.raises(OverloadError, match=r"waited for 0\.6 s"):
            engine.submit(raw(session("0b")), patient=True)
        single = engine.submit(raw(session("0b")))
    refused = service.metrics.of("").events["refused"]._value.get()

    assert single.result(30).events == 5
    assert refused == 0, "what is held back is not refused"


def test_many_streams_that_wait_for_room_all_get_their_turn(
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None ends for want of room, however long it waits, while others find some."""
    monkeypatch.setattr("offscript.service.turns._PATIENCE_SECONDS", 1.0)
    remove = Load.remove

    def removed(load: Load, batch: Batch) -> None:
        clock.now += 0.25  # twice a batch, as two keep account of it
        remove(load, batch)

    monkeypatch.setattr(Load, "remove", removed)

    def flood(number: int) -> int:
        lines = [session(f"{number:02x}{n:04x}") for n in range(2)]
        batches = (pb.EventBatch(lines=each) for each in lines)
        with grpc.insecure_channel(running.address) as channel:
            return sum(reply.events for reply in DetectorStub(channel).Score(batches))

    with (
        in_process(replace(config, queue_events=5)) as running,
        ThreadPoolExecutor(32) as pool,
    ):
        answered = list(pool.map(flood, range(32)))

    assert answered == [10] * 32


def test_a_stream_waits_for_as_long_as_what_is_before_it_is_scored_however_slowly(
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score, taken = Shard._score, threading.Event()

    def slowly(shard: Shard, group: list[Part]) -> bool:
        if group:
            taken.wait(30)
            time.sleep(0.05)
            clock.now += 0.5
        return score(shard, group)

    monkeypatch.setattr(Shard, "_score", slowly)
    monkeypatch.setattr("offscript.service.shard._GROUP_EVENTS", 1)
    monkeypatch.setattr("offscript.service.turns._PATIENCE_SECONDS", 0.6)

    def burst() -> Iterator[pb.EventBatch]:
        for number in range(8):
            yield pb.EventBatch(lines=session(f"0{number}"))
        until(lambda: running.server._engine.of().load.events == 40)
        clock.now += 0.1  # old enough for no more to be taken
        taken.set()
        yield pb.EventBatch(lines=session("0f"))

    with (
        in_process(replace(config, queue_seconds=0.2)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        answered = [reply.events for reply in DetectorStub(channel).Score(burst())]

    assert answered == [5] * 9


def test_a_batch_of_a_stream_is_refused_once_its_stream_ends_for_want_of_room_and_not_before(
    config: ServiceConfig, in_process: InProcess, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.service.turns._PATIENCE_SECONDS", 0.5)
    batches = [pb.EventBatch(lines=session(f"0{n}")) for n in range(2)]
    with (
        in_process(replace(config, queue_events=5, queue_seconds=60.0)) as running,
        grpc.insecure_channel(running.address) as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        refused = running.server._engine.of().metrics.events["refused"]._value
        with nothing_read(running.server._engine):
            answers = pool.submit(list, DetectorStub(channel).Score(iter(batches)))
            until(refused.get)
        # The stream ends once its first batch is answered.
        with pytest.raises(grpc.RpcError, match="5 events wait to be scored, at most 5 may"):
            answers.result(30)
        count = refused.get()

    assert count == 5


def test_a_call_whose_time_is_up_is_not_scored(running: Running, session: Lines) -> None:
    engine = running.server._engine
    events = running.server._metrics.of("").events
    cancelled = 'offscript_rpc_seconds_count{code="CANCELLED",method="ScoreOnce"} 1.0'
    with grpc.insecure_channel(running.address) as channel:
        grpc.channel_ready_future(channel).result(30)
        stub = DetectorStub(channel)
        with engine.of()._shards[0].held():
            call = stub.ScoreOnce.future(pb.EventBatch(lines=session("0a", odd=True)), timeout=1.0)
            until(lambda: engine.of().load.events == 5)
            assert call.exception() is not None
            until(lambda: cancelled in running.server._metrics.text().decode())
        all_scored(engine)
        scored = stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True)))

        listed = stub.ListAlerts(pb.ListAlertsRequest()).alerts
    assert scored.events == 5
    assert {alert.stream for alert in listed} == {"0b"}
    assert events["abandoned"]._value.get() == 5
