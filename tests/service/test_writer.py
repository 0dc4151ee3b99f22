"""Tests of the thread that writes to the store: what waits for it, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from offscript.model.alert import Alert
from offscript.service.arrays import Saved
from offscript.service.audit import Deed
from offscript.service.config import ServiceConfig
from offscript.service.metrics import Metrics
from offscript.service.store import Store
from offscript.service.stored import StoredAlert
from offscript.service.suppression import Grounds, not_known
from offscript.service.writer import Entry, Writer
from offscript.tests.service.states import part

from .alerts import other


class Watched(Store):
    """A store that keeps what each transaction held, and waits before the first."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.wrote: list[tuple[int, int]] = []  # alerts, states
        self.begin = Event()

    def write(
        self,
        alerts: Sequence[Alert],
        states: Sequence[tuple[str, int, Saved]] = (),
        deeds: Sequence[Deed] = (),
        *,
        grounds: Grounds = not_known,
    ) -> list[StoredAlert]:
        self.begin.wait(30)
        self.wrote.append((len(alerts), len(states)))
        return super().write(alerts, states, deeds, grounds=grounds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Watched]:
    store = Watched(f"sqlite:///{tmp_path}/alerts.db")
    yield store
    store.close()


@pytest.fixture
def writer(store: Watched, tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(store, ServiceConfig({"": tmp_path}), Metrics())
    writer.start()
    yield writer
    store.begin.set()
    writer.stop()


def piece(number: int) -> Entry:
    return Entry(state=("", 0, Saved("one", parts={number: part(1)})))


def test_state_is_stored_a_piece_at_a_time_and_alerts_do_not_wait_for_the_rest(
    store: Watched, writer: Writer
) -> None:
    pieces = [piece(number) for number in range(4)]
    for entry in pieces[:3]:
        writer.put(entry)
    writer.put(Entry((other(1),)))
    later = Event()
    writer.put(Entry((other(2),), done=lambda _: later.set()))
    writer.put(pieces[3])
    writer.put(Entry(state=("", 0, Saved("one", {"clock": np.zeros(3)}))))
    store.begin.set()

    assert later.wait(30)
    writer.stop()

    assert sum(alerts for alerts, _ in store.wrote) == 2
    assert [states for _, states in store.wrote if states] == [1, 1, 1, 1, 1]
    assert store.wrote.index(next(one for one in store.wrote if one[0])) <= 1
    assert store.state("", 0)["length"].tolist() == [1] * 4


def test_a_piece_is_never_stored_before_the_alerts_that_came_before_it(
    store: Watched, writer: Writer
) -> None:
    writer.put(piece(0))
    writer.put(Entry((other(1),)))
    writer.put(piece(1))
    store.begin.set()
    writer.stop()

    with_alerts = [at for at, (alerts, _) in enumerate(store.wrote) if alerts]
    second_piece = [at for at, (_, states) in enumerate(store.wrote) if states][1]
    assert with_alerts[0] <= second_piece
