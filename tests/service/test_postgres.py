"""PostgreSQL that goes away, falls silent or forgets: nothing is lost, nobody waits for ever."""

from __future__ import annotations

import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.examples.postgres.server import Server, running_server
from offscript.model.errors import StoreError
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.postgres import Connection
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.tests.service.alerts import ALERT, other
from offscript.tests.service.receivers import until

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]

on_postgres = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


class Between:
    """Relays between clients and a server; while it is `silent` it holds what either says."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._talks = threading.Event()
        self._talks.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def silent(self) -> None:
        self._talks.clear()

    def talk(self) -> None:
        self._talks.set()

    def close(self) -> None:
        self._talks.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        for end in (self._listening, *self._ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listening.accept()[0]
                far = socket.create_connection(self._to)
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, of: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := of.recv(65_536):
                self._talks.wait()
                to.sendall(data)
            to.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def between(postgres: Server) -> Iterator[Between]:
    relay = Between(postgres.port)
    yield relay
    relay.close()


@pytest.fixture
def through(postgres: Server, between: Between) -> str:
    """The URL of a database behind the relay."""
    url = postgres.database().replace(f":{postgres.port}/", f":{between.port}/")
    return f"{url}?connect_timeout=2"


def end_sessions(server: Server) -> None:
    """What a restart does, or who ends idle sessions."""
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'offscript%'"
        )


@on_postgres
def test_a_service_that_lost_its_session_claims_the_store_again_with_the_next_write(
    store: Store, url: str, postgres: Server
) -> None:
    store.claim()
    end_sessions(postgres)
    store.write([ALERT])
    second = Store(url)

    with pytest.raises(StoreError, match="in use by another service"):
        second.claim()
    second.close()


@on_postgres
def test_a_service_writes_nothing_while_another_one_has_the_claim_that_it_lost(
    store: Store, url: str, postgres: Server
) -> None:
    store.claim()
    store.write([other(1)])
    end_sessions(postgres)
    second = Store(url)
    second.claim()
    for _ in range(2):
        with pytest.raises(StoreError, match="in use by another service; stop that one"):
            store.write([other(2)])
    second.write([other(3)])
    second.close()
    store.write([other(4)])

    assert [s.alert.id for s in store.alerts(Filter(), limit=9)] == ["a4", "a3", "a1"]


def test_a_server_that_says_nothing_is_an_error_and_no_wait_without_end(
    through: str, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "silent_seconds", 1.5)
    store = Store(through)
    store.claim()
    store.write([other(1)])
    between.silent()
    with pytest.raises(StoreError):
        store.write([other(2)])
    with pytest.raises(StoreError):
        store.alerts(Filter(), limit=9)
    between.talk()
    # The server does not know that the session is lost which has the claim.
    store.write([other(2)])

    assert {s.alert.id for s in store.alerts(Filter(), limit=9)} == {"a1", "a2"}
    store.close()


def test_a_silence_between_question_and_answer_is_said(
    through: str, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "silent_seconds", 1.5)
    store = Store(through)
    with (
        pytest.raises(StoreError, match=r"the server has said nothing for 1\.5 s; see that it"),
        store._database.writing() as connection,
    ):
        between.silent()
        connection.exec_driver_sql("SELECT 1")
    store.close()


def test_a_change_of_the_tables_may_take_longer(
    through: str, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "silent_seconds", 1.5)
    store = Store(through)
    place = store._database._place
    with store._database.writing() as connection, place.changing(connection):
        connection.exec_driver_sql("SELECT pg_sleep(4)")
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"
    with store._database.writing() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "8s"
    with pytest.raises(StoreError, match="said nothing"), store._database.writing() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(4)")
    store.close()


def test_a_service_notices_a_silent_server_and_goes_on_when_it_talks(
    through: str,
    between: Between,
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Connection, "silent_seconds", 1.5)
    with in_process(replace(config, store=through)) as service, Client(service.address) as client:

        def up() -> str:
            page = urllib.request.urlopen(f"{service.web}/metrics").read().decode()
            return str(next(row for row in page.splitlines() if row.startswith("offscript_store")))

        between.silent()
        for line in session("0f", odd=True):
            client.line(line)
        arrived = client.flush(6)
        until(lambda: up() == "offscript_store_up 0.0")
        between.talk()
        assert client.flush(30)

        assert not arrived
        assert up() == "offscript_store_up 1.0"
        assert [alert.stream for alert in client.alerts()] == ["0f"]


@on_postgres
def test_lines_are_kept_in_the_folder_that_is_named(
    url: str,
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told(key: str, folder: Path | None) -> tuple[tuple[str | None, ...], bool]:
        caplog.clear()
        with in_process(replace(config, store=url, lines=folder)) as service:
            with Client(service.address) as client:
                for line in session(key, odd=True):
                    client.line(line)
                assert client.flush(30)
            (found,) = service.server._store.alerts(Filter(stream=key), limit=1)
        return found.alert.lines[1:3], "name a folder with --lines" in caplog.text

    assert told("0a", tmp_path) == (tuple(session("0a")[:2]), False)
    assert told("0b", None) == ((None, None), True)


def test_a_service_ends_though_its_store_says_nothing(
    through: str,
    between: Between,
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Connection, "silent_seconds", 1.5)
    service = in_process(replace(config, store=through, checkpoint_seconds=3600.0))
    with Client(service.address) as client:
        client.line(session("0a")[0])
        assert client.flush(30)
    between.silent()
    service.stop()  # or it fails after a minute

    assert "alert store postgresql" in caplog.text


def test_a_server_that_crashes_under_load_costs_nothing_that_was_acknowledged(
    config: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    acknowledged: set[str] = set()
    with (
        running_server(synchronous_commit="on") as server,
        in_process(replace(config, store=server.database())) as service,
        Client(
            service.address,
            acknowledged=lambda reply: acknowledged.update(alert.stream for alert in reply.alerts),
        ) as client,
    ):
        for n in range(300):
            for line in session(f"{n:04x}", odd=True):
                client.line(line)
            if n == 100:
                assert client.flush(60)
            if n == 200:
                server.stop(signal.SIGQUIT)
        arrived, before = client.flush(3), set(acknowledged)
        server.start()
        assert client.flush(60)
        stored = {alert.stream for alert in client.alerts()}

    assert not arrived
    assert 100 < len(before) < 300
    assert stored == {f"{n:04x}" for n in range(300)}
