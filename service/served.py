"""One model in service, under its name: reads its batches, has its shards score them, is replaced.

put → reader thread (lines → events, secrets taken out) → scorer threads, each with its own streams.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..model.alert import Alert
from ..model.detector import Detector
from ..model.errors import ModelError, OverloadError, StoreError
from ..model.folder import Model
from .batch import Batch
from .carry import Carried
from .config import ServiceConfig
from .drift import Drift
from .metrics import ModelMetrics
from .own_patterns import read_patterns
from .reading import Reader, plausible
from .recent import Recent
from .redaction import redact
from .sequel import sequel
from .shard import Shard
from .spool import Spool
from .store import Store
from .ticket import Ticket, shard_of
from .writer import Writer

logger = logging.getLogger("offscript")

_SMALL_EVENTS = 4096  # of a batch that is read and divided where it comes in


@dataclass
class Load:
    """What is accepted and not scored yet, and how much of that there may be."""

    most_events: int
    most_bytes: int
    held_seconds: float = 0.0  # that each of it waits though there is nothing to do
    events: int = 0
    bytes: int = 0
    scored: float = -math.inf  # when something was last, on the monotonic clock
    _since: dict[int, float] = field(default_factory=dict)  # monotonic, the oldest first

    def has_room(self, batch: Batch) -> bool:
        """Whether a batch may be added; where nothing waits, any may."""
        events, size = self.events + len(batch), self.bytes + batch.size
        return not self.events or (events <= self.most_events and size <= self.most_bytes)

    def waits(self) -> float:
        """Seconds that the oldest of it has waited for others to be scored."""
        now = time.monotonic()
        return max(0.0, now - next(iter(self._since.values()), now) - self.held_seconds)

    def add(self, batch: Batch) -> None:
        self.events += len(batch)
        self.bytes += batch.size
        self._since[id(batch)] = time.monotonic()

    def remove(self, batch: Batch) -> None:
        self.events -= len(batch)
        self.bytes -= batch.size
        self.scored = time.monotonic()
        del self._since[id(batch)]


@dataclass(frozen=True)
class _Change:
    """A model that is to score the batches behind this."""

    model: Model
    reader: Reader
    drift: Drift
    detectors: list[Detector]  # of each shard
    future: Future[Carried] = field(default_factory=Future)


class Served:
    """Owns the streams of one name. Any thread may call; `config` says what this model may use."""

    def __init__(
        self,
        name: str,
        model: Model,
        store: Store,
        config: ServiceConfig,
        *,
        writer: Writer,
        metrics: ModelMetrics,
    ) -> None:
        self.name = name
        self.metrics = metrics
        self.recent = Recent()
        # Kept by whoever puts batches.
        self.load = Load(config.queue_events, config.queue_bytes, config.reorder_seconds)
        self._model = model
        self._store = store
        self._config = config
        self._writer = writer
        self._own = () if config.redact is None else read_patterns(config.redact)
        self._reader = Reader(model)
        self._drift: Drift
        self._shards: list[Shard] = []
        self._tickets: deque[Ticket | _Change] = deque()
        self._wake = threading.Condition()
        self._idle = False  # the reader's thread waits for tickets
        self._open = False
        self._thread = threading.Thread(target=self._read, name=f"reader {name}", daemon=True)

    @property
    def model(self) -> Model:
        """The model that batches are read and scored by from now on."""
        return self._model

    def restore(self) -> None:
        """Take up the saved streams."""
        self._drift = Drift(self._model)
        self.metrics.surprisal_drift.set_function(self._drift_index)
        # They would be taken up as they are now once there are as many threads again.
        self._store.drop_states(self.name, shards=self._config.threads)
        for number in range(self._config.threads):
            shard = Shard(
                number,
                self._model,
                self._config,
                name=self.name,
                spool=self._spool(number),
                own=self._own,
                writer=self._writer,
                metrics=self.metrics,
                drift=self._drift,
            )
            try:
                shard.restore(self._store.state(self.name, number))
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - damage may come out as anything
                logger.warning(
                    "%sthe saved streams cannot be read: %s; starting afresh, all streams count as "
                    "joined in the middle",
                    f"{self.name}: " if self.name else "",
                    error if isinstance(error, ModelError) else repr(error),
                )
            self._shards.append(shard)

    def spools(self) -> list[Path]:
        """The folders of raw lines, one a thread; none where they are not kept."""
        root, threads = self._store.lines, self._config.threads
        if root is None or self._config.spool_bytes < threads:
            return []
        return [root / self.name / str(number) for number in range(threads)]

    def start(self) -> None:
        """Start the threads."""
        for shard in self._shards:
            shard.start()
        self._open = True
        self._thread.start()

    def put(self, ticket: Ticket) -> None:
        """Take a batch; its ticket's future says what became of it.

        Few names are no work to read and to divide: with nothing before them they go on without the
        reader's thread, for which a core, or the interpreter's lock, may not be free at once.
        """
        with self._wake:
            small = len(ticket.batch) <= _SMALL_EVENTS or len(self._shards) == 1
            if small and self._idle and not self._tickets and ticket.batch.lines is None:
                self._read_batch(ticket)
            else:
                self._tickets.append(ticket)
                self._wake.notify()

    def change(self, model: Model) -> Future[Carried]:
        """Have all batches from here on scored by another model; what becomes of the streams.

        Those accepted before are scored by the model that was. If it fails, nothing has changed.
        """
        detectors = [shard.new_detector(model) for shard in self._shards]
        change = _Change(model, Reader(model), Drift(model), detectors)  # nobody waited for these
        with self._wake:
            if not self._open:
                raise OverloadError("the service is not ready", retry_seconds=1.0)
            self._tickets.append(change)
            self._wake.notify()
        return change.future

    def sequel(self, alert: Alert) -> tuple[int, ...]:
        """What came in an alert's stream after it; nothing if that is not known, or no longer."""
        if alert.model != self._model.sha256 or not self._shards:  # while it starts there are none
            return ()
        shard = self._shards[shard_of(alert.stream, len(self._shards))]
        return sequel(alert, *shard.recent(alert.stream, alert.model))

    def hurry(self) -> None:
        """From now on nothing waits for what was overtaken."""
        for shard in self._shards:
            shard.hurry()

    def stop(self) -> None:
        """Score all that was put, save the streams, end the threads."""
        with self._wake:
            self._open = False
            self._wake.notify()
        self._thread.join()
        for shard in self._shards:
            shard.stop()

    def _read(self) -> None:
        while True:
            with self._wake:
                self._idle = True
                while self._open and not self._tickets:
                    self._wake.wait()
                self._idle = False
                if not self._tickets:
                    return
                ticket = self._tickets.popleft()
            if isinstance(ticket, _Change):
                try:
                    ticket.future.set_result(self._adopt(ticket))
                except Exception as error:  # noqa: BLE001 - as below
                    ticket.future.set_exception(error)
            else:
                self._read_batch(ticket)

    def _read_batch(self, ticket: Ticket) -> None:
        """Hand its events to the shards; no line goes further with a secret in it."""
        batch = ticket.batch
        self.recent.add(batch)
        try:
            rows, ahead = plausible(self._reader.read(batch), batch.received)
            lines = None if batch.lines is None else redact(batch.lines, self._own)
            parts = ticket.split(rows, lines, len(self._shards))
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread has to go on
            ticket.fail(error)
            ticket.scored()
            return
        self.metrics.events["unkeyed"].inc(rows.unkeyed)
        self.metrics.events["continuation"].inc(rows.continuations)
        self.metrics.events["broken"].inc(rows.broken)
        self.metrics.times_clamped.inc(ahead)
        for part in parts:
            self._shards[part.shard].put(part)

    def _adopt(self, change: _Change) -> Carried:
        """Put a model in the place of the other between two batches, in all shards or in none."""
        with ExitStack() as held:
            for shard in self._shards:
                held.enter_context(shard.held())
            pairs = list(zip(self._shards, change.detectors, strict=True))
            lost = [shard.hand_over(detector) for shard, detector in pairs]
            carried = [
                shard.adopt(detector, change.drift, rows)
                for (shard, detector), rows in zip(pairs, lost, strict=True)
            ]
            self._model, self._reader, self._drift = change.model, change.reader, change.drift
        return Carried(sum(each.streams for each in carried), sum(each.left for each in carried))

    def _drift_index(self) -> float:
        return self._drift.index()

    def _spool(self, number: int) -> Spool | None:
        folders = self.spools()
        if not folders:
            return None
        try:
            size = self._config.spool_bytes // self._config.threads
            return Spool(folders[number], size)
        except OSError as error:
            logger.warning("raw lines are not kept: %s: %s", error.filename, error.strerror)
            return None
