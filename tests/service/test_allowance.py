"""What one sender may send: who sends more waits, loses nothing, and keeps nobody else waiting."""

from __future__ import annotations

import http.client
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from offscript.model.errors import InputError, OverloadError
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.allowance import SENDER, Allowance, address_of
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.credentials import Credentials
from offscript.service.errors import LimitError, from_rpc, retry_seconds
from offscript.service.metrics import Metrics
from offscript.service.tokens import Scope, add_token
from offscript.tests.service.clock import Clock
from offscript.tests.service.engines import Service, all_scored, nothing_read, raw
from offscript.tests.service.otlp_requests import record, request

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """By which senders are held to their rates."""
    clock = Clock()
    monkeypatch.setattr("offscript.service.allowance.time", clock)
    return clock


def limited(running: Running) -> dict[str, float]:
    """Events that met a limit, by sender."""
    (metric,) = running.server._metrics.events_limited.collect()
    return {s.labels["sender"]: s.value for s in metric.samples if s.name.endswith("_total")}


def test_ten_seconds_worth_of_events_may_come_at_once_and_then_as_many_as_the_rate(
    tmp_path: Path, clock: Clock
) -> None:
    config = ServiceConfig({"": tmp_path}, sender_events=1000.0)
    allowance = Allowance(config, Metrics())

    for _ in range(10):
        allowance.take("a", 1000, 0)
    with pytest.raises(LimitError, match=r"a may send 1,000 events a second, and 500 ") as caught:
        allowance.take("a", 500, 0)
    assert caught.value.retry_seconds == 0.5
    allowance.take("b", 65_536, 0)  # more than a burst, when nothing came before
    with pytest.raises(LimitError):
        allowance.take("b", 1, 0)
    clock.now += 0.4
    with pytest.raises(LimitError):
        allowance.take("a", 500, 0)
    clock.now += 0.125
    allowance.take("a", 500, 0)


@pytest.mark.parametrize("rate", [-1.0, math.nan])
def test_a_rate_that_limits_nobody_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InputError, match=f"sender_events is {rate}; it must not be negative"):
        ServiceConfig({"": tmp_path}, sender_events=rate)


def test_of_a_senders_bytes_only_so_many_wait_to_be_scored(
    service: Service, session: Lines
) -> None:
    engine = service.engine(sender_bytes=1000)

    def submit(sender: str, size: int) -> Any:
        SENDER.set(sender)
        return engine.submit(raw(session(f"{sender}{size}"), size=size))

    with ThreadPoolExecutor(1) as apart:  # which has a SENDER of its own
        with nothing_read(engine):
            first = [apart.submit(submit, "a", size).result() for size in (600, 400)]
            with pytest.raises(LimitError, match="a may send 1,000 bytes that wait to be scored"):
                apart.submit(submit, "a", 1).result()
            other = apart.submit(submit, "b", 5000).result()
        for future in (*first, other):
            assert future.result(30).events == 5
        all_scored(engine)
        assert apart.submit(submit, "a", 1000).result().result(30).events == 5


def test_who_sends_ever_new_streams_loses_its_own_and_others_go_on(
    service: Service, session: Lines
) -> None:
    engine = service.engine(max_streams=64)
    keys = [f"ff{number:02x}" for number in range(16)]

    def submit(sender: str, client: str, lines: list[str]) -> None:
        SENDER.set(sender)
        assert engine.submit(raw(lines, client=client)).result(30).events == len(lines)

    with ThreadPoolExecutor(1) as apart:  # which has a SENDER of its own
        apart.submit(submit, "honest", "", [session(key)[0] for key in keys]).result()
        for turn in range(32):
            new = [session(f"{turn:02x}{number:02x}")[0] for number in range(32)]
            apart.submit(submit, "greedy", f"calls itself {turn}", new).result()
        apart.submit(submit, "honest", "", [line for k in keys for line in session(k)[1:]]).result()
    (shard,) = engine.of()._shards

    assert set(keys) < set(shard._detector.known())
    assert not shard._detector.joined(keys).any()
    assert not [stream for stream, *_ in service.alerts() if stream in keys]


def test_a_call_that_is_too_much_is_told_when_to_come_again(
    config: ServiceConfig, in_process: InProcess, session: Lines, clock: Clock
) -> None:
    batch = pb.EventBatch(lines=session("0a"))
    with (
        in_process(replace(config, sender_events=2.0)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        stub = DetectorStub(channel)
        for _ in range(4):
            stub.ScoreOnce(batch)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ScoreOnce(batch)
        call: Any = caught.value
        post = http.client.HTTPConnection("127.0.0.1", running.server.http_port, timeout=30)
        data = request([record(line) for line in session("0b")]).SerializeToString()
        post.request("POST", "/v1/logs", data, {"Content-Type": "application/x-protobuf"})
        answer = post.getresponse()
        post.close()
        asked = retry_seconds(call)

        assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "127.0.0.1 may send 2 events a second" in call.details()
        assert asked == 2.5
        assert isinstance(from_rpc(call, "", str), OverloadError)
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "3"
        assert limited(running) == {"127.0.0.1": 10.0}
        clock.now += asked
        assert stub.ScoreOnce(batch).events == 5


def test_a_client_that_sends_too_much_is_slowed_and_loses_nothing_and_others_go_on(
    config: ServiceConfig, in_process: InProcess, session: Lines, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "tokens"
    greedy, honest = (add_token(file, name, [Scope.SEND]) for name in ("greedy", "honest"))
    events = {"greedy": 0, "honest": 0}

    def sender(name: str, token: str) -> Client:
        def acknowledged(reply: pb.ScoreBatch) -> None:
            events[name] += reply.events

        credentials = Credentials(token=token)
        return Client(running.address, credentials=credentials, acknowledged=acknowledged)

    with (
        in_process(replace(config, tokens=file, sender_events=200.0)) as running,
        sender("greedy", greedy) as much,
        sender("honest", honest) as little,
    ):
        for n in range(440):
            for line in session(f"{n:04x}"):
                much.line(line)
        assert not much.flush(0.2)
        for line in session("ffff"):
            little.line(line)
        assert little.flush(30)
        assert events["greedy"] < 2200
        clock.now += 1.0
        assert much.flush(60)
        assert set(limited(running)) == {"greedy"}

    assert events == {"greedy": 2200, "honest": 5}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:50312", "127.0.0.1"),
        ("ipv6:%5B::1%5D:50312", "::1"),
        ("ipv6:[fe80::1%25eth0]:50312", "fe80::1%eth0"),
    ],
)
def test_the_address_of_a_peer_is_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address
