"""What a running service tells whoever keeps it running."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from offscript.service.intake import LOGS_SERVICE
from offscript.service.servicer import SERVICE

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Told = tuple[int, int, str, str, str]  # /healthz, /readyz, health of the process and the services
SERVES: Told = (200, 200, "SERVING", "SERVING", "SERVING")
CANNOT_STORE: Told = (200, 503, "SERVING", "NOT_SERVING", "NOT_SERVING")


def comes_to(service: Running, expected: Told) -> Told:
    """What it tells as soon as that is what is expected, or after half a minute."""
    deadline = time.monotonic() + 30.0
    while (said := _told(service)) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return said


def _told(service: Running) -> Told:
    with grpc.insecure_channel(service.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # the stubs know no methods
        said = [
            health_pb2.HealthCheckResponse.ServingStatus.Name(
                stub.Check(health_pb2.HealthCheckRequest(service=name)).status
            )
            for name in ("", SERVICE, LOGS_SERVICE)
        ]
    return (
        _get(f"{service.web}/healthz"),
        _get(f"{service.web}/readyz"),
        said[0],
        said[1],
        said[2],
    )


def _get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
