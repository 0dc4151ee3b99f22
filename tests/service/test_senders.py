"""OpenTelemetry's own SDKs, for Python and Node.js, send to a real service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from offscript.model.errors import OverloadError
from offscript.service.batch import Batch, Outcome
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.tests.npm import install
from offscript.tests.service.conftest import ODD
from offscript.tests.service.otlp_requests import NOON

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

SENDERS = Path(__file__).resolve().parent / "senders"
Send = Callable[[str, str, int], None]  # kind, endpoint, sessions


@pytest.fixture
def running(config: ServiceConfig, in_process: InProcess) -> Iterator[Running]:
    """A service that takes the stream from an attribute."""
    with in_process(replace(config, otlp_stream=("session.id",))) as service:
        yield service


def feed(command: list[str], folder: Path, sessions: int) -> None:
    records = [
        {
            "millis": 1000 * (NOON + second),
            "body": f"session=x {text}",
            "attributes": {"session.id": f"{number:04x}"},
        }
        for number in range(sessions)
        for second, text in enumerate(ODD)
    ]
    finished = subprocess.run(
        command,
        input="".join(f"{json.dumps(record)}\n" for record in records),
        cwd=folder,
        env={**os.environ, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert not finished.stdout + finished.stderr


@pytest.fixture
def python() -> Send:
    def send(kind: str, endpoint: str, sessions: int) -> None:
        feed([sys.executable, "send.py", kind, endpoint], SENDERS, sessions)

    return send


@pytest.fixture(scope="session")
def node(pytestconfig: pytest.Config) -> Send:
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("senders") / "node"
    install(SENDERS, folder)
    shutil.copy(SENDERS / "send.js", folder)

    def send(kind: str, endpoint: str, sessions: int) -> None:
        feed(["node", "send.js", kind, endpoint], folder, sessions)

    return send


def endpoint(running: Running, kind: str) -> str:
    return f"http://{running.address}" if kind == "grpc" else f"{running.web}/v1/logs"


def streams(running: Running) -> Counter[str]:
    with Client(running.address) as client:
        return Counter(alert.stream for alert in client.alerts() if alert.detector == "event")


def scored(running: Running) -> float:
    return (
        running.server._metrics.registry.get_sample_value(
            "offscript_events_total", {"model": "", "outcome": "scored"}
        )
        or 0.0
    )


@pytest.mark.parametrize("kind", ["grpc", "protobuf"])
def test_the_python_sdk_sends_and_is_heard(running: Running, python: Send, kind: str) -> None:
    python(kind, endpoint(running, kind), 300)

    assert streams(running) == {f"{number:04x}": 1 for number in range(300)}
    assert scored(running) == 300 * len(ODD)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grpc", "protobuf", "json"])
def test_the_sdk_of_node_sends_and_is_heard(running: Running, node: Send, kind: str) -> None:
    node(kind, endpoint(running, kind), 300)

    assert streams(running) == {f"{number:04x}": 1 for number in range(300)}
    assert scored(running) == 300 * len(ODD)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grpc", "protobuf"])
def test_a_sender_that_finds_no_room_sends_again_until_there_is(
    running: Running, python: Send, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, refused = running.server._engine, 0
    submit = engine.submit_all

    def full_at_first(batches: Sequence[Batch]) -> list[Future[Outcome]]:
        nonlocal refused
        if refused < 2:
            refused += 1
            raise OverloadError("20 events wait to be scored", retry_seconds=0.1)
        return submit(batches)

    monkeypatch.setattr(engine, "submit_all", full_at_first)
    with pytest.raises(AssertionError, match="UNAVAILABLE|503|Unavailable"):  # it says so itself
        python(kind, endpoint(running, kind), 20)

    assert refused == 2
    assert streams(running) == {f"{number:04x}": 1 for number in range(20)}
    assert scored(running) == 20 * len(ODD)


@pytest.mark.slow
def test_a_request_whose_answer_was_lost_is_sent_again_and_scored_once(
    running: Running, python: Send
) -> None:
    requests = 0

    class LosesTheFirstAnswer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal requests
            requests += 1
            data = self.rfile.read(int(self.headers["Content-Length"]))
            sent = urllib.request.Request(f"{running.web}/v1/logs", data, dict(self.headers))
            with urllib.request.urlopen(sent) as reply:
                if requests > 1:
                    self.send_response(reply.status)
                    self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), LosesTheFirstAnswer) as between:
        thread = Thread(target=between.serve_forever, args=(0.05,))
        thread.start()
        python("protobuf", f"http://127.0.0.1:{between.server_port}/v1/logs", 20)
        between.shutdown()
        thread.join()

    assert requests == 2
    assert streams(running) == {f"{number:04x}": 1 for number in range(20)}
    assert scored(running) == 20 * len(ODD)
