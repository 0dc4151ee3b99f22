"""Services to test against: real ones, on free ports of loopback, in this process or their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import grpc
import pytest

from offscript.examples.postgres.server import Server as PostgresServer
from offscript.examples.postgres.server import ServerError, running_server
from offscript.model.folder import load_model
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.server import Server
from offscript.service.store import Store
from offscript.service.tokens import Scope, add_token
from offscript.tests.ports import kept_address
from offscript.tests.service.certificates import Authority
from offscript.tests.service.engines import Service
from offscript.tests.service.receivers import Receiver

InProcess = Callable[[ServiceConfig], "Running"]
OwnProcess = Callable[[ServiceConfig], "ServiceProcess"]


class Running:
    """A service in this process, on a thread of its own."""

    def __init__(self, config: ServiceConfig) -> None:
        self.server = Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._running = True
        try:
            self._run(self.server.start())
        except BaseException:
            self._end()
            raise

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.grpc_port}"

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.server.http_port}"

    def __enter__(self) -> Running:  # noqa: PYI034 - a test's type
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._running:
            self._run(self.server.stop())
            self._end()

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)  # type: ignore[arg-type]

    def _end(self) -> None:
        self._running = False
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class ServiceProcess:
    """A service in a process of its own, which can be killed."""

    def __init__(self, config: ServiceConfig) -> None:
        program = (
            "import sys; from pathlib import Path, PosixPath\n"
            "from offscript.model.errors import OffscriptError\n"
            "from offscript.service.config import ServiceConfig\n"
            "from offscript.service.server import serve\n"
            f"try: sys.exit(serve({config!r}))\n"
            "except OffscriptError as error: sys.exit(f'offscript: {error}')\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=os.environ
        )
        self.said: list[str] = []
        self.address = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "offscript: serving" in line:
                self.address = line.split(" on ")[1].split(" ")[0]
                break
        # What it says later must not fill the pipe.
        self._drain = threading.Thread(target=self._listen, daemon=True)
        self._drain.start()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(60)
        self._drain.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.said += self.process.stderr


NORMAL = [
    "admin: console opened from 10.0.1.7",
    "admin: setting 3 read",
    "admin: setting 3 written",
    "admin: service reloaded",
    "admin: console closed",
]
ODD = [*NORMAL[:2], "kernel: firmware replaced, password=hunter2", *NORMAL[3:]]


@pytest.fixture(scope="session")
def session() -> Callable[..., list[str]]:
    """Lines of one session, a second apart, as the model knows them or one that goes off script."""

    def lines(key: str, *, odd: bool = False, minute: int = 0) -> list[str]:
        return [
            f"2026-03-02 12:{minute:02d}:{second:02d}.000 session={key} {message}"
            for second, message in enumerate(ODD if odd else NORMAL)
        ]

    return lines


@pytest.fixture
def config(tiny_model: Path, tmp_path: Path) -> ServiceConfig:
    """A service of the tiny model, with free ports and a store of its own."""
    return ServiceConfig(
        models={"": tiny_model},
        grpc="127.0.0.1:0",
        http="127.0.0.1:0",
        store=f"sqlite:///{tmp_path}/alerts.db",
        grace_seconds=2.0,
    )


@pytest.fixture
def address() -> Iterator[str]:
    """Where a service can be started again after it has ended."""
    with kept_address() as kept:
        yield kept


@pytest.fixture
def running(config: ServiceConfig) -> Iterator[Running]:
    with Running(config) as service:
        yield service


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with Client(running.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def in_process() -> InProcess:
    """Starts services in this process, to be used in a `with`."""
    return Running


@pytest.fixture
def own_process() -> Iterator[OwnProcess]:
    """Starts services in processes of their own; none is left behind."""
    started: list[ServiceProcess] = []

    def start(config: ServiceConfig) -> ServiceProcess:
        started.append(ServiceProcess(config))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.kill()


@pytest.fixture
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.address) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> DetectorStub:
    return DetectorStub(channel)


@pytest.fixture
def service(config: ServiceConfig) -> Iterator[Service]:
    started = Service(load_model(config.models[""]), config)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Vouches for the services and for their clients."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Scope, str]]:
    """A token file, and the secret of a token with each scope."""
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    return path, {scope: add_token(path, f"{scope}er", [scope]) for scope in Scope}


@pytest.fixture(scope="session")
def secured(
    tiny_model: Path,
    authority: Authority,
    tokens: tuple[Path, dict[Scope, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A service with TLS and tokens, for all tests together."""
    cert, key = authority.issue("secured")
    config = ServiceConfig(
        models={"": tiny_model},
        grpc="127.0.0.1:0",
        http="127.0.0.1:0",
        store=f"sqlite:///{tmp_path_factory.mktemp('secured')}/alerts.db",
        tls_cert=cert,
        tls_key=key,
        tokens=tokens[0],
    )
    with Running(config) as service:
        yield service


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    try:
        with running_server() as server:
            yield server
    except ServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/alerts.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody else's endpoint, which keeps what it is sent."""
    started = Receiver()
    yield started
    started.stop()
