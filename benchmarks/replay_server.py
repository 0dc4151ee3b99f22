"""A replay through the real service: `offscript serve` in a process of its own, over gRPC."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ..model.errors import OffscriptError
from ..protos import detector_pb2 as pb
from ..service.client import Client
from .replay_events import Raised, Sent
from .replay_measures import Heard

_PATIENCE_SECONDS = 120.0
_SETTLED_SECONDS = 3.0  # without a new alert; the service looks for ended streams once a second
_HEARTBEAT = "heartbeat"  # a stream of its own
_METRICS = re.compile(r" and (http://\S+/metrics)")
_TROUBLE = re.compile(r" (WARNING|ERROR|CRITICAL) |^Traceback", re.MULTILINE)


class Service:
    """`offscript serve` on a port that stays the same across restarts, with a fresh alert store.

    `options`: more of the command line; `program`: what Python runs in place of our command;
    `store`: in place of a file in the folder.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        options: Sequence[str] = (),
        *,
        program: Sequence[str] = ("-m", "offscript.cli"),
        store: str | None = None,
    ) -> None:
        self._model = model
        self._options = options
        self._program = program
        self._store = store or f"sqlite:///{folder / 'alerts.db'}"
        self._log = folder / "serve.log"
        self._wanted = False
        held = socket.socket()
        # Held and not listened on: nobody else is given it before the service listens there.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        weakref.finalize(self, held.close)
        self.address = f"127.0.0.1:{held.getsockname()[1]}"

    def __enter__(self) -> Service:  # noqa: PYI034 - as in the client
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves."""
        arguments = ["--grpc", self.address, "--http", "127.0.0.1:0", "--store", self._store]
        arguments += self._options
        with self._log.open("a", encoding="utf-8") as log:
            said = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, *self._program, "serve", str(self._model), *arguments],
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while "offscript: serving" not in self._log.read_text(encoding="utf-8")[said:]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise OffscriptError(f"the service did not start:\n{self.last_words()}")
            time.sleep(0.05)
        self._wanted = True

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: nothing is saved, nothing is told."""
        self._process.kill()
        self._process.wait()

    @property
    def metrics(self) -> str:
        """URL of its metrics."""
        return str(_METRICS.findall(self._log.read_text(encoding="utf-8"))[-1])

    def stop(self) -> None:
        """SIGTERM, and wait for its end in good order; what went wrong inside is printed."""
        self._wanted = False
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(_PATIENCE_SECONDS)
        if status or _TROUBLE.search(self._log.read_text(encoding="utf-8")):
            print(f"  the service ended with status {status}:\n{self.last_words()}", flush=True)

    def check(self, reason: str) -> None:
        """Called by the client when it gets no answer; OffscriptError if none will come."""
        if self._wanted:
            print(f"  {reason}; waiting for it", flush=True)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
                raise OffscriptError(f"the service has died:\n{self.last_words()}")

    def last_words(self) -> str:
        """What it said last."""
        return self._log.read_text(encoding="utf-8").strip()[-2000:]


@dataclass(frozen=True)
class Replayed:
    """What came of a replay, and how long the service took to acknowledge all of it."""

    heard: Heard
    seconds: float
    events: int


def replay(
    service: Service,
    sent: Sequence[Sent],
    *,
    silent_until: float | None,
    restart_at: int | None = None,
) -> Replayed:
    """Send all as fast as the service takes it; at `restart_at` stop it and start it again.

    `silent_until` is the event time that the service hears of last, in a stream of its own, so that
    the streams that were silent for long enough by then end.
    """
    raised: list[pb.Alert] = []
    events = 0

    def acknowledged(reply: pb.ScoreBatch) -> None:
        nonlocal events
        events += reply.events
        raised.extend(reply.alerts)

    with Client(service.address, acknowledged=acknowledged, waiting=service.check) as client:
        began = time.perf_counter()
        for index, one in enumerate(sent):
            if index == restart_at:
                service.stop()
                service.start()
            if one.stream is None:
                client.line(one.text)
            else:
                client.event(one.text, stream=one.stream, time=one.time)
            if index % 100_000 == 99_999:
                print(f"  {index + 1:,} of {len(sent):,} sent", flush=True)
        client.flush()
        seconds, counted = time.perf_counter() - began, events
        if silent_until is not None:
            client.event(_HEARTBEAT, stream=_HEARTBEAT, time=silent_until)
            client.flush()
        listed = [_raised(alert) for alert in _settled(client) if alert.stream != _HEARTBEAT]
    every = [_raised(alert) for alert in raised if alert.stream != _HEARTBEAT]
    return Replayed(Heard(listed, [*listed, *every]), seconds, counted)


def _settled(client: Client) -> list[pb.Alert]:
    """The alerts once no more of them come, oldest first."""
    alerts = list(client.alerts())
    while True:
        time.sleep(_SETTLED_SECONDS)
        again = list(client.alerts())
        if len(again) == len(alerts):
            return again[::-1]
        alerts = again


def _raised(alert: pb.Alert) -> Raised:
    return Raised(
        alert.stream,
        alert.detector,
        alert.observed,
        alert.expected,
        alert.time_micros / 1e6,
        alert.position,
        alert.count,
        alert.unknown,
    )
