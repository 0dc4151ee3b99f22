"""A full disk: what is not stored is not acknowledged, and is not lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from offscript.model.alert import Alert
from offscript.model.errors import OverloadError, StoreError
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.store import Store
from offscript.tests.service.engines import Service, raw
from offscript.tests.service.health import CANNOT_STORE, SERVES, comes_to

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Lines = Callable[..., list[str]]


@contextmanager
def full_disk(store: Store, alert: Alert) -> Iterator[None]:
    """The store's database may not grow, and is full to the brim with alerts like this one."""
    engine = store._database._place.writes
    with store._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    sa.event.listen(engine, "connect", limit)
    engine.dispose()  # the next connections are limited
    with pytest.raises(StoreError, match="full"):
        for number in range(10_000):
            store.write([replace(alert, id=f"filler {number}", stream=f"filler {number}")])
    yield
    sa.event.remove(engine, "connect", limit)
    engine.dispose()


def test_while_the_disk_is_full_alerts_wait_and_nothing_is_acknowledged(
    service: Service, session: Lines
) -> None:
    engine = service.engine(buffered_alerts=10)
    first = engine.submit(raw(session("0f", odd=True))).result(30).alerts[0]
    with full_disk(service.store, first.alert):
        odd = engine.submit(raw(session("0b", odd=True), client="me", seq=1))
        normal = engine.submit(raw(session("0a", minute=1), client="me", seq=2)).result(30)
        again = engine.submit(raw(session("0b", odd=True), client="me", seq=1))
        refused = ""
        for n in range(1000):
            try:
                engine.submit(raw(session(f"{n:04x}", odd=True, minute=2)))
            except OverloadError as error:
                refused = str(error)
                break
            time.sleep(0.02)
        odd_done, again_done = odd.done(), again.done()

    assert normal.events == 5  # scoring goes on
    assert (odd_done, again_done) == (False, False)
    assert "alerts wait to be stored: alert store sqlite" in refused
    assert "make room on that disk" in refused
    assert odd.result(30).alerts != ()
    assert again.result(30).repeated
    assert any(stream == "0b" for stream, *_ in service.alerts())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB; only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail(made.stderr)
        pytest.skip(f"cannot mount a file system: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_alerts_wait_for_room_on_the_disk(
    small_disk: Path,
    config: ServiceConfig,
    in_process: Callable[[ServiceConfig], Running],
    session: Lines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    acknowledged: set[str] = set()
    store = f"sqlite:///{small_disk}/alerts.db"
    with (
        in_process(replace(config, store=store, spool_bytes=1 << 20)) as service,
        Client(
            service.address,
            acknowledged=lambda reply: acknowledged.update(a.stream for a in reply.alerts),
        ) as client,
    ):
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for n in range(200):
            for line in session(f"{n:04x}", odd=True):
                client.line(line)

        arrived = client.flush(8)
        full = comes_to(service, CANNOT_STORE)
        page = urllib.request.urlopen(f"{service.web}/metrics").read().decode()
        before = set(acknowledged)
        filler.unlink()
        assert client.flush(60)
        assert comes_to(service, SERVES) == SERVES
        stored = {alert.stream for alert in client.alerts()}

    assert not arrived
    assert "offscript_store_up 0.0" in page
    assert full == CANNOT_STORE
    assert len(before) < 200
    assert "make room on that disk" in caplog.text
    assert {f"{n:04x}" for n in range(200)} <= stored
