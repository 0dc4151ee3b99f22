"""Killed while the streams are saved for another model: what the model before had counts again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from offscript.model.folder import load_model
from offscript.protos import detector_pb2 as pb
from offscript.service import tables
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.store import Store
from offscript.tests.service.versions import renumbered, saved

if TYPE_CHECKING:
    from offscript.tests.service.conftest import OwnProcess

Lines = Callable[..., list[str]]

_STREAMS = 8_000  # whose state takes many pieces
_NOON = 1_772_452_800  # 2026-03-02 12:00:00
_ATTEMPTS = 20  # to kill it at the right moment


def states(store: Store) -> set[str]:
    """Names of the states that the store has anything of."""
    query = sa.select(tables.shards.c.array).distinct()
    with store._database.reading() as connection:
        return set(connection.scalars(query)) - {"shard", "state", "complete"}


def current(store: Store) -> str:
    """The name of the state that a service would go on from."""
    query = sa.select(tables.shards.c.data).where(tables.shards.c.array == "state")
    with store._database.reading() as connection:
        return bytes(connection.scalars(query).one()).decode()


def is_saved(store: Store, sha256: str) -> bool:
    """Whether all that was sent is in a state of this model: the last of it came at 12:03."""
    state = store.state("", 0)
    times = state.get("clock_times", np.zeros(0)).astype(np.float64)
    return bool((times > _NOON + 170.0).any()) and state["owner"].tolist() == [f"{sha256} 0/1"]


def test_a_service_killed_in_the_middle_of_it_loses_no_event_and_no_alert(
    config: ServiceConfig,
    own_process: OwnProcess,
    tiny_model: Path,
    session: Lines,
    tmp_path: Path,
    address: str,
) -> None:
    config = replace(config, grpc=address, checkpoint_seconds=0.0)
    model = load_model(tiny_model)
    saved(renumbered(model), tmp_path / "other")
    store = Store(config.store)
    service = own_process(config)
    alerts: set[str] = set()
    scored = sent = 0

    def acknowledged(reply: pb.ScoreBatch) -> None:
        nonlocal scored
        scored += reply.events
        alerts.update(alert.id for alert in reply.alerts)

    with Client(address, acknowledged=acknowledged) as client:

        def send(keys: list[str], part: slice, *, odd: bool = False, minute: int = 0) -> None:
            nonlocal sent
            lines = (session(key, odd=odd, minute=minute)[part] for key in keys)
            for line in chain.from_iterable(lines):
                client.line(line)
                sent += 1

        for attempt in range(_ATTEMPTS):
            quiet = [f"{attempt:02x}{n:05x}" for n in range(_STREAMS)]
            send(quiet, slice(2))
            send([f"a{attempt:02x}"], slice(5), odd=True, minute=3)
            assert client.flush(60)
            while not is_saved(store, model.sha256):
                time.sleep(0.01)
            before = current(store)
            with Client(address) as admin:
                assert admin.reload(tmp_path / "other").carried >= _STREAMS
            send([f"b{attempt:02x}"], slice(5), odd=True, minute=3)
            while states(store) == {before}:
                pass
            service.kill()
            caught = current(store) == before
            service = own_process(config)
            if caught:
                break
        send(quiet[:1], slice(2, 5), odd=True, minute=3)
        assert client.flush(60)
        listed = {alert.id: alert for alert in client.alerts()}
    store.close()

    assert caught, "it was never killed in the middle"
    assert scored == sent
    assert alerts <= listed.keys()
    odd = {f"{kind}{n:02x}" for kind in "ab" for n in range(attempt + 1)} | {quiet[0]}
    assert {alert.stream for alert in listed.values() if alert.observed == "<new>"} == odd
    assert not any(alert.joined for alert in listed.values() if alert.stream == quiet[0])
    assert "did not stop in good order" in "".join(service.said)
