"""Batches in, acknowledgements out: the one way that all sources of events take. Knows no network.

submit → bounded queue → reader thread (lines → events) → scorer threads, each with its own streams
→ writer thread (alerts → store) → the batch's future.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..model.alert import Alert
from ..model.errors import OverloadError
from ..model.folder import Model
from ..model.warm import warm
from .batch import Batch, Outcome
from .carry import Carried
from .config import ServiceConfig
from .drift import Drift
from .late import Late
from .metrics import Metrics
from .reading import Reader
from .sequel import sequel
from .shard import Shard
from .spool import Spool
from .store import Store
from .ticket import Ticket, shard_of
from .writer import Entry, Writer

logger = logging.getLogger("offscript")

_RETRY_SECONDS = 0.2
_STORE_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class _Change:
    """A model that is to score the batches behind this."""

    model: Model
    future: Future[Carried] = field(default_factory=Future)


class Engine:
    """Scores batches and keeps their streams. Any thread may call `submit`.

    `changed` is called (by the writer's thread) whenever alerts were stored.
    """

    def __init__(
        self,
        model: Model,
        store: Store,
        config: ServiceConfig,
        metrics: Metrics,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.late = Late()
        self._model = model
        self._store = store
        self._config = config
        self._metrics = metrics
        self._reader = Reader(model)
        self._drift: Drift
        self._writer = Writer(store, config, metrics, changed)
        self._shards: list[Shard] = []
        self._tickets: deque[Ticket | _Change] = deque()
        self._wake = threading.Condition()
        self._events = self._bytes = 0  # accepted and not scored yet
        self._open = False
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        metrics.queue_events.set_function(lambda: self._events)
        metrics.queue_bytes.set_function(lambda: self._bytes)

    @property
    def model(self) -> Model:
        """The model that batches are read and scored by from now on."""
        return self._model

    @property
    def store_error(self) -> Exception | None:
        """Why alerts cannot be stored at the moment."""
        return self._writer.error

    def start(self) -> None:
        """Compile the kernels, take up the saved streams, start the threads."""
        warm()
        self._drift = Drift(self._model)
        self._metrics.surprisal_drift.set_function(self._drift_index)
        for number in range(self._config.threads):
            shard = Shard(
                number,
                self._model,
                self._config,
                spool=self._spool(number),
                writer=self._writer,
                metrics=self._metrics,
                drift=self._drift,
            )
            shard.restore(self._store.state(number))
            self._shards.append(shard)
        self._writer.start()
        for shard in self._shards:
            shard.start()
        self._open = True
        self._thread.start()

    def submit(self, batch: Batch) -> Future[Outcome]:
        """Take a batch; OverloadError, and nothing happens, if there is no room for it."""
        ticket = Ticket(batch, self._scored)
        with self._wake:
            if not self._open:
                raise OverloadError("the service is not ready", retry_seconds=1.0)
            if self._writer.pending > self._config.buffered_alerts:
                self._metrics.events["refused"].inc(len(batch))
                raise OverloadError(
                    f"{self._writer.pending} alerts wait to be stored"
                    + (f": {self._writer.error}" if self._writer.error else "; send more later"),
                    retry_seconds=_STORE_RETRY_SECONDS if self._writer.error else _RETRY_SECONDS,
                )
            events, size = self._events + len(batch), self._bytes + batch.size
            full = events > self._config.queue_events or size > self._config.queue_bytes
            if full and self._events:
                self._metrics.events["refused"].inc(len(batch))
                raise OverloadError(
                    f"{self._events} events wait to be scored, at most {self._config.queue_events} "
                    "may; send them again later",
                    retry_seconds=_RETRY_SECONDS,
                )
            self._events, self._bytes = events, size
            self._tickets.append(ticket)
            self._wake.notify()
        self._metrics.batches.inc()
        return ticket.future

    def change(self, model: Model) -> Future[Carried]:
        """Have all batches from here on scored by another model; what becomes of the streams.

        Those accepted before are scored by the model that was. If it fails, nothing has changed.
        """
        change = _Change(model)
        with self._wake:
            if not self._open:
                raise OverloadError("the service is not ready", retry_seconds=1.0)
            self._tickets.append(change)
            self._wake.notify()
        return change.future

    def sequel(self, alert: Alert) -> tuple[int, ...]:
        """What came in an alert's stream after it; nothing if that is not known, or no longer."""
        if alert.model != self._model.sha256:
            return ()
        shard = self._shards[shard_of(alert.stream, len(self._shards))]
        return sequel(alert, *shard.recent(alert.stream, alert.model))

    def when_stored(self, call: Callable[[], None]) -> None:
        """Have this called once all alerts are stored that were raised before."""
        self._writer.put(Entry(done=lambda _: call()))

    def stop(self) -> None:
        """Score and store all that was accepted, save the streams, end the threads."""
        with self._wake:
            was_open, self._open = self._open, False
            self._wake.notify()
        if was_open:
            self._thread.join()
            for shard in self._shards:
                shard.stop()
            self._writer.stop()

    def _read(self) -> None:
        while True:
            with self._wake:
                while self._open and not self._tickets:
                    self._wake.wait()
                if not self._tickets:
                    return
                ticket = self._tickets.popleft()
            if isinstance(ticket, _Change):
                try:
                    ticket.future.set_result(self._adopt(ticket.model))
                except Exception as error:  # noqa: BLE001 - as below
                    ticket.future.set_exception(error)
                continue
            self.late.add(ticket.batch)
            try:
                rows = self._reader.read(ticket.batch)
                parts = ticket.split(rows, len(self._shards))
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread has to go on
                ticket.fail(error)
                ticket.scored()
                continue
            self._metrics.events["unkeyed"].inc(rows.unkeyed)
            self._metrics.events["continuation"].inc(rows.continuations)
            self._metrics.events["broken"].inc(rows.broken)
            for part in parts:
                self._shards[part.shard].put(part)

    def _adopt(self, model: Model) -> Carried:
        """Put a model in the place of the other between two batches, in all shards or in none."""
        reader, drift = Reader(model), Drift(model)  # while the shards still score
        with ExitStack() as held:
            for shard in self._shards:
                held.enter_context(shard.held())
            made = [shard.successor(model) for shard in self._shards]
            for shard, (detector, _) in zip(self._shards, made, strict=True):
                shard.adopt(model, detector, drift)
            self._model, self._reader, self._drift = model, reader, drift
        return Carried(
            streams=sum(carried.streams for _, carried in made),
            left=sum(carried.left for _, carried in made),
        )

    def _drift_index(self) -> float:
        return self._drift.index()

    def _scored(self, batch: Batch) -> None:
        with self._wake:
            self._events -= len(batch)
            self._bytes -= batch.size

    def _spool(self, number: int) -> Spool | None:
        path, size = self._store.path, self._config.spool_bytes // self._config.threads
        if path is None or not size:
            return None
        try:
            return Spool(path.with_name(f"{path.name}.lines") / str(number), size)
        except OSError as error:
            logger.warning("raw lines are not kept: %s: %s", error.filename, error.strerror)
            return None
