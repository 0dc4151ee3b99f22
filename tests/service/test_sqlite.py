"""Who waits for the disk when something is stored in a file, and who does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from offscript.service.arrays import Saved
from offscript.service.database import Database
from offscript.service.store import Store
from offscript.tests.service.alerts import other
from offscript.tests.service.states import part

NORMAL, FULL = 1, 2  # of SQLite's levels: a commit waits for the disk with the second


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/alerts.db")
    yield opened
    opened.close()


def test_a_transaction_waits_for_the_disk_unless_it_need_not_last(database: Database) -> None:
    levels = []
    for lasting in (True, False, True):
        with database.writing(lasting=lasting) as connection:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    assert levels == [FULL, NORMAL, FULL]


def test_state_need_not_last_but_alerts_and_the_last_state_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"sqlite:///{tmp_path}/alerts.db")
    lasted: list[bool] = []
    sync = store._database._place.sync

    def noted(connection: object, *, lasting: bool) -> None:
        lasted.append(lasting)
        sync(connection, lasting=lasting)  # type: ignore[arg-type]

    monkeypatch.setattr(store._database._place, "sync", noted)
    piece = ("", 0, Saved("one", parts={0: part(3)}))
    last = ("", 0, Saved("one", {"clock": np.zeros(3)}, {0: part(4)}, complete=True))

    store.write([], [piece])
    store.write([other(1)], [piece])
    store.write([], [last])
    state = store.state("", 0)
    store.close()

    assert lasted == [False, True, True]
    assert state["length"].tolist() == [4]


def test_what_a_service_has_committed_gets_from_the_log_into_the_file_by_itself(
    tmp_path: Path,
) -> None:
    """Nobody commits meanwhile, nor is anything closed."""
    path = tmp_path / "alerts.db"
    store = Store(f"sqlite:///{path}")
    store.claim()
    store.write([other(1, text="a line of its own")])
    deadline = time.monotonic() + 30
    while b"a line of its own" not in path.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    copied = path.read_bytes()
    store.close()

    assert b"a line of its own" in copied
