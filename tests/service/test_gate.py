"""The gate: each method opens to the tokens that have its scope, and says what is missing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor_pool import Default
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.gate import NEEDED
from offscript.service.servicer import SERVICE
from offscript.service.tokens import Scope
from offscript.tests.service.certificates import Authority

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Secrets = dict[Scope, str]
Metadata = tuple[tuple[str, str], ...]


def bearer(secret: str) -> Metadata:
    return (("authorization", f"Bearer {secret}"),)


@pytest.fixture
def tls(secured: Running, authority: Authority) -> Iterator[grpc.Channel]:
    """A channel to the secured service, without a token."""
    credentials = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    with grpc.secure_channel(secured.address, credentials) as channel:
        yield channel


@pytest.fixture
def secrets(tokens: tuple[Path, Secrets]) -> Secrets:
    return tokens[1]


def status(channel: grpc.Channel, method: str, metadata: Metadata) -> tuple[str, str]:
    """Code and text that a call ends with whose request is no message."""
    method_call: Any = channel.stream_stream(method)
    call = method_call(iter([b"\xff"]), metadata=metadata, timeout=20)
    with suppress(grpc.RpcError):
        list(call)
    return call.code().name, call.details()


def refused(running: Running) -> dict[str, float]:
    counters = running.server._metrics.calls_refused
    return {reason: counter._value.get() for reason, counter in counters.items()}


def test_every_method_that_the_service_answers_is_in_the_table(channel: grpc.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # the stubs know no methods
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = stub.ServerReflectionInfo(iter([request]))
    names = [service.name for service in reply.list_services_response.service]

    answered = {
        f"/{name}/{method.name}"
        for name in names
        for method in Default().FindServiceByName(name).methods
    }

    assert SERVICE in names
    assert answered == set(NEEDED)


def test_a_method_opens_to_its_scope_and_to_admin_only(tls: grpc.Channel, secrets: Secrets) -> None:
    for method, needed in NEEDED.items():
        for scope, secret in secrets.items():
            code, said = status(tls, method, bearer(secret))
            opens = needed is None or scope in (needed, Scope.ADMIN)
            assert (code != "PERMISSION_DENIED") == opens, (method, scope)
            if not opens:
                assert f"needs a token with the scope {needed}, and {scope}er has only" in said


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("authorization", "Basic aHVudGVyMg=="),),
        (("authorization", "hunter2"),),
        (("authorization", "Bearer hunter2"),),
        (("authorization", "Bearer " + "h" * 4000),),
        (("token", "hunter2"),),
        (("authorization-bin", b"Bearer hunter2"),),
    ],
)
def test_without_a_known_token_only_health_is_told(tls: grpc.Channel, metadata: Metadata) -> None:
    for method, needed in NEEDED.items():
        code, said = status(tls, method, metadata)
        assert (code == "UNAUTHENTICATED") == (needed is not None), method
        if needed is not None:
            assert f"needs a token with the scope {needed}" in said
            assert "hunter2" not in said


def test_a_token_that_is_almost_right_is_wrong(tls: grpc.Channel, secrets: Secrets) -> None:
    secret = secrets[Scope.ADMIN]
    for almost in (secret[:-1], secret + "x", secret.swapcase(), f"{secret},{secret}"):
        assert status(tls, f"/{SERVICE}/Feedback", bearer(almost))[0] == "UNAUTHENTICATED"
    two = (*bearer("hunter2"), *bearer("hunter2"))
    assert status(tls, f"/{SERVICE}/Feedback", two)[0] == "UNAUTHENTICATED"


def test_what_is_no_method_is_not_there_with_or_without_a_token(
    tls: grpc.Channel, secrets: Secrets
) -> None:
    for metadata in ((), bearer(secrets[Scope.ADMIN])):
        for method in (f"/{SERVICE}/Other", "/other/Score", f"/{SERVICE}/score", "/", "//"):
            assert status(tls, method, metadata)[0] == "UNIMPLEMENTED"


def test_a_refused_stream_ends_though_its_client_says_nothing(tls: grpc.Channel) -> None:
    ended = threading.Event()

    def silence() -> Iterator[pb.EventBatch]:
        ended.wait(20)
        yield pb.EventBatch()

    with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        next(DetectorStub(tls).Score(silence(), timeout=20))
    ended.set()


def test_health_is_told_without_a_token(tls: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(tls)
    reply = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))

    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_many_refused_calls_are_counted_and_hardly_logged(
    tls: grpc.Channel,
    secured: Running,
    secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = refused(secured)
    secured.server._access._told = float("-inf")  # another test may have been refused just now
    call: Any = tls.unary_unary(f"/{SERVICE}/Feedback")
    with caplog.at_level(logging.DEBUG):
        for number in range(300):
            metadata = bearer(secrets[Scope.SEND] if number % 3 else f"hunter{number}")
            with pytest.raises(grpc.RpcError):
                call(b"", metadata=metadata)
    after = refused(secured)
    lines = [record.getMessage() for record in caplog.records if record.name == "offscript"]
    page = secured.server._metrics.text().decode()

    assert {reason: after[reason] - before[reason] for reason in after} == {
        "no_token": 0,
        "unknown_token": 100,
        "scope": 200,
        "no_certificate": 0,
    }
    assert 1 <= len(lines) < 150
    assert all("refused Feedback to ipv4:127.0.0.1:" in line for line in lines)
    for secret in (*secrets.values(), "hunter"):
        assert secret not in caplog.text
        assert secret not in page
    assert "sender" not in page
