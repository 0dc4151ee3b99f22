"""A service that cannot store alerts says so, and that nobody need start it again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from offscript.examples.postgres.server import running_server
from offscript.protos import detector_pb2 as pb
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.tests.service.health import CANNOT_STORE, SERVES, comes_to

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


@pytest.mark.usefixtures("postgres")  # skips where there is none
def test_while_its_store_is_away_a_service_lives_and_is_not_ready_and_serves_who_is_connected(
    config: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    with (
        running_server() as server,
        in_process(replace(config, store=server.database())) as service,
        Client(service.address) as client,
        Client(service.address) as other,
    ):
        before = comes_to(service, SERVES)
        server.stop(signal.SIGQUIT)
        for line in session("0b", odd=True):
            client.line(line)
        arrived = client.flush(1)
        away = comes_to(service, CANNOT_STORE)
        scored = other.score_once(pb.EventBatch(lines=session("0a")))
        server.start()
        assert client.flush(60)
        after = comes_to(service, SERVES)

    assert (before, away, after) == (SERVES, CANNOT_STORE, SERVES)
    assert not arrived
    assert scored.events == 5
