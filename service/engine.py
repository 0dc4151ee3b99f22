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

from ..model.errors import OverloadError
from ..model.folder import Model
from ..model.warm import warm
from .batch import Batch, Outcome
from .config import ServiceConfig
from .metrics import Metrics
from .reading import Reader
from .shard import Shard
from .spool import Spool
from .store import Store
from .ticket import Ticket
from .writer import Writer

logger = logging.getLogger("offscript")

_RETRY_SECONDS = 0.2
_STORE_RETRY_SECONDS = 2.0


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
        self._model = model
        self._store = store
        self._config = config
        self._metrics = metrics
        self._reader = Reader(model)
        self._writer = Writer(store, config, metrics, changed)
        self._shards: list[Shard] = []
        self._tickets: deque[Ticket] = deque()
        self._wake = threading.Condition()
        self._events = self._bytes = 0  # accepted and not scored yet
        self._open = False
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    @property
    def store_error(self) -> Exception | None:
        """Why alerts cannot be stored at the moment."""
        return self._writer.error

    def start(self) -> None:
        """Compile the kernels, take up the saved streams, start the threads."""
        warm()
        for number in range(self._config.threads):
            shard = Shard(
                number,
                self._model,
                self._config,
                spool=self._spool(number),
                writer=self._writer,
                metrics=self._metrics,
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
        self._show_queue()
        return ticket.future

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

    def _scored(self, batch: Batch) -> None:
        with self._wake:
            self._events -= len(batch)
            self._bytes -= batch.size
        self._show_queue()

    def _show_queue(self) -> None:
        self._metrics.queue_events.set(self._events)
        self._metrics.queue_bytes.set(self._bytes)

    def _spool(self, number: int) -> Spool | None:
        path, size = self._store.path, self._config.spool_bytes // self._config.threads
        if path is None or not size:
            return None
        try:
            return Spool(path.with_name(f"{path.name}.lines") / str(number), size)
        except OSError as error:
            logger.warning("raw lines are not kept: %s: %s", error.filename, error.strerror)
            return None
