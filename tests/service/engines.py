"""Engines on one store, and batches for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from offscript.model.folder import Model
from offscript.service.batch import Batch, Rows
from offscript.service.config import ServiceConfig
from offscript.service.engine import Engine
from offscript.service.metrics import Metrics
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.tests.service.receivers import until

Lines = Callable[..., list[str]]


@contextmanager
def nothing_read(engine: Engine, *, seconds: float = 30.0) -> Iterator[None]:
    """Until this is over, and at most so long, batches are accepted and wait to be read."""
    held = threading.Event()
    reader = engine.of()._reader
    read = reader.read

    def read_later(batch: Batch) -> Rows:
        held.wait(seconds)
        return read(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "read", read_later)
        try:
            yield
        finally:
            held.set()


def all_scored(engine: Engine) -> None:
    """Wait until there is room again: an answer comes just before its batch has left the queue."""
    until(lambda: not engine._load.events)


def raw(lines: list[str] | None, *, client: str = "", seq: int = 0, **more: object) -> Batch:
    batch = Batch(client, seq, None, None, lines, None, received=time.time(), want_scores=True)
    return replace(batch, **more)  # type: ignore[arg-type] # fields of the batch


class Service:
    """Starts engines on one store; all are stopped in the end."""

    def __init__(self, model: Model, config: ServiceConfig) -> None:
        self.model = model
        self.config = config
        self.store = Store(config.store)
        self._engines: list[Engine] = []

    def engine(self, **changes: object) -> Engine:
        config = replace(self.config, **changes)  # type: ignore[arg-type] # fields of it
        self.metrics = Metrics()
        engine = Engine({"": self.model}, self.store, config, self.metrics)
        engine.start()
        self._engines.append(engine)
        return engine

    def alerts(self) -> list[tuple[str, str, str, int]]:
        found = [stored.alert for stored in self.store.alerts(Filter(), limit=100_000)]
        return sorted((a.stream, a.detector, a.observed, a.count) for a in found)

    def stop(self) -> None:
        for engine in self._engines:
            engine.stop()
        self.store.close()


def sessions(session: Lines, count: int, **more: object) -> list[str]:
    return [line for n in range(count) for line in session(f"{n:04x}", odd=n % 5 == 0, **more)]
