"""Tests of what waits for too long, and of what nobody waits for any more."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import pytest

from offscript.model.errors import OverloadError
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.tests.service.conftest import Running
from offscript.tests.service.engines import Service, nothing_read, raw

Lines = Callable[..., list[str]]


def test_where_events_have_waited_for_long_no_more_are_taken(
    service: Service, session: Lines
) -> None:
    engine = service.engine(queue_seconds=0.2)
    with nothing_read(engine):
        first = engine.submit(raw(session("0a")))
        time.sleep(0.3)
        with pytest.raises(OverloadError, match=r"waited for 0\.\d s to be scored, at most 0\.2 s"):
            engine.submit(raw(session("0b")))
        with pytest.raises(OverloadError, match="send more later"):
            engine.check_wait()

    assert first.result(30).events == 5
    # What waited for room is not old when it is taken.
    late = raw(session("0c"), received=time.time() - 60.0)
    assert engine.submit(late).result(30).events == 5
    assert engine.submit(raw(session("0d"))).result(30).events == 5


def test_a_call_whose_time_is_up_is_not_scored(running: Running, session: Lines) -> None:
    engine = running.server._engine
    events = running.server._metrics.of("").events
    with grpc.insecure_channel(running.address) as channel:
        stub = DetectorStub(channel)
        with engine.of()._shards[0].held():
            call = stub.ScoreOnce.future(pb.EventBatch(lines=session("0a", odd=True)), timeout=0.3)
            assert call.exception() is not None
            time.sleep(0.3)  # until the service has heard of it
        scored = stub.ScoreOnce(pb.EventBatch(lines=session("0b", odd=True)))

        listed = stub.ListAlerts(pb.ListAlertsRequest()).alerts
    assert scored.events == 5
    assert {alert.stream for alert in listed} == {"0b"}
    assert events["abandoned"]._value.get() == 5
