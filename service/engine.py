"""Batches in, acknowledgements out: the one way that all sources of events take. Knows no network.

submit → bounded queue → the model that the batch names: reader thread, scorer threads
→ writer thread (alerts → store) → the batch's future.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from ..interpret.softmax import warm as warm_explanations
from ..model.alert import Alert
from ..model.errors import NotFoundError, OverloadError, StoreError
from ..model.folder import Model
from ..model.warm import warm
from . import spool
from .allowance import SENDER, Allowance
from .audit import Deed
from .batch import Batch, Outcome
from .config import ServiceConfig
from .grounds import Grounds
from .metrics import Metrics
from .served import Load, Served
from .store import Store
from .ticket import Ticket
from .writer import Entry, Writer

logger = logging.getLogger("offscript")

_PATIENCE = 4  # who can wait has a part in so many of the time that events may wait
_RETRY_SECONDS = 0.2
_STORE_RETRY_SECONDS = 2.0


class Engine:
    """Scores batches, each by the model that it names, and keeps their streams. Any thread may call
    `submit`.

    `models` are those of the config's names. `changed` is called (by the writer's thread) whenever
    alerts were stored.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        store: Store,
        config: ServiceConfig,
        metrics: Metrics,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._config = config
        self._metrics = metrics
        grounds = Grounds(self.model_of, metrics.alerts_unexamined)
        self.grounds = grounds.of  # for whoever writes to the store
        self._writer = Writer(store, config, metrics, changed, self.grounds)
        share = config.share()
        self._served = {
            name: Served(
                name, models[name], store, share, writer=self._writer, metrics=metrics.of(name)
            )
            for name in sorted(models, key=lambda name: name != config.default)
        }
        self._default = self._served[config.default]
        self._load = Load(config.queue_events, config.queue_bytes, config.reorder_seconds)
        self._allowance = Allowance(config, metrics)
        self._lock = threading.RLock()  # a batch that cannot be read is over while it is put
        self._open = False
        metrics.queue_events.set_function(lambda: self._load.events)
        metrics.queue_bytes.set_function(lambda: self._load.bytes)

    @property
    def served(self) -> Mapping[str, Served]:
        """All models by name, the default first."""
        return self._served

    def of(self, name: str = "") -> Served:
        """The model of this name, or the default; NotFoundError if there is none."""
        found = self._served.get(name) if name else self._default
        if found is None:
            names = ", ".join(filter(None, self._served)) or "only one, which has no name"
            raise NotFoundError(f"there is no model {name[:64]!r} here; served are: {names}")
        return found

    def model_of(self, alert: Alert) -> Model | None:
        """The model that raised an alert, if it is served."""
        served = self._served.get(alert.model_name)
        return None if served is None or served.model.sha256 != alert.model else served.model

    @property
    def store_error(self) -> Exception | None:
        """Why alerts cannot be stored at the moment."""
        return self._writer.error

    def start(self) -> None:
        """Compile the kernels, take up the saved streams, start the threads."""
        warm()
        warm_explanations()
        spool.warm()
        for served in self._served.values():
            served.restore()
        if self._store.lines is not None:
            spools = {folder for served in self._served.values() for folder in served.spools()}
            spool.remove_others(self._store.lines, spools)
        else:
            logger.warning(
                "raw lines are not kept, so explanations show templates: the alert store is no "
                "file; name a folder with --lines"
            )
        left = sorted(self._store.states() - self._served.keys())
        if left:
            logger.warning(
                "the store has streams of models that are not served now, and keeps them: %s",
                ", ".join(name or "the one without a name" for name in left),
            )
        self._writer.start()
        for served in self._served.values():
            served.start()
        self._open = True

    def submit(self, batch: Batch, *, patient: bool = False) -> Future[Outcome]:
        """Take a batch; OverloadError, and nothing happens, if there is no room for it, and
        NotFoundError if there is no model of the name that it has.

        Who is `patient` tries again for as long as it takes, and leaves room for who is not.
        """
        return self.submit_all((batch,), patient=patient)[0]

    def submit_all(
        self, batches: Sequence[Batch], *, patient: bool = False
    ) -> list[Future[Outcome]]:
        """Take batches of different models, all of them or none."""
        sender = SENDER.get()
        tickets = [
            (served, Ticket(batch, partial(self._scored, served, sender), sender))
            for served, batch in ((self.of(batch.model), batch) for batch in batches)
        ]
        with self._lock:
            self._check_room(tickets, patient=patient)
            events, size = sum(map(len, batches)), sum(batch.size for batch in batches)
            self._allowance.take(sender, events, size)
            for served, ticket in tickets:
                self._load.add(ticket.batch)
                served.load.add(ticket.batch)
                served.put(ticket)
        self._metrics.batches.inc(len(tickets))
        return [ticket.future for _, ticket in tickets]

    def check_wait(self) -> None:
        """OverloadError if events have waited for too long, whatever their model: not worth reading
        more of them.
        """
        with self._lock:
            self._check_wait(min((each.load for each in self._served.values()), key=Load.waits))

    def when_stored(self, call: Callable[[], None]) -> None:
        """Have this called once all alerts are stored that were raised before."""
        self._writer.put(Entry(done=lambda _: call()))

    def note(self, deed: Deed) -> None:
        """Put on the audit trail what was done, at once or, if the store fails, later."""
        try:
            self._store.write((), deeds=[deed])
        except StoreError:
            self._writer.put(Entry(deeds=(deed,)))

    def hurry(self) -> None:
        """The service is about to stop: from now on nothing waits for what was overtaken."""
        for served in self._served.values():
            served.hurry()

    def stop(self) -> None:
        """Score and store all that was accepted, save the streams, end the threads."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            for served in self._served.values():
                served.stop()
            self._writer.stop()

    def _check_room(self, tickets: Sequence[tuple[Served, Ticket]], *, patient: bool) -> None:
        """OverloadError if there is none for all of them.

        A model has room in its own share, so that one that is flooded does not keep others waiting.
        """
        refused = () if patient else tickets  # who is held back is not refused
        if not self._open:
            raise OverloadError("the service is not ready", retry_seconds=1.0)
        if self._writer.pending > self._config.buffered_alerts:
            _count_refused(refused)
            raise OverloadError(
                f"{self._writer.pending} alerts wait to be stored"
                + (f": {self._writer.error}" if self._writer.error else "; send more later"),
                retry_seconds=_STORE_RETRY_SECONDS if self._writer.error else _RETRY_SECONDS,
            )
        for served, ticket in tickets:
            for load in (served.load, self._load):
                if not load.has_room(ticket.batch):
                    _count_refused(refused)
                    raise OverloadError(
                        f"{load.events} events wait to be scored, at most {load.most_events} may; "
                        "send them again later",
                        retry_seconds=_RETRY_SECONDS,
                    )
            self._check_wait(served.load, refused, patient=patient)

    def _check_wait(
        self, load: Load, tickets: Sequence[tuple[Served, Ticket]] = (), *, patient: bool = False
    ) -> None:
        waited, most = load.waits(), self._config.queue_seconds / (_PATIENCE if patient else 1)
        if waited > most:
            _count_refused(tickets)
            raise OverloadError(
                f"events have waited for {waited:.1f} s to be scored, at most "
                f"{most:g} s are allowed; send more later",
                retry_seconds=_RETRY_SECONDS,
            )

    def _scored(self, served: Served, sender: str, batch: Batch) -> None:
        with self._lock:
            self._allowance.scored(sender, batch.size)
            self._load.remove(batch)
            served.load.remove(batch)


def _count_refused(tickets: Sequence[tuple[Served, Ticket]]) -> None:
    for served, ticket in tickets:
        served.metrics.events["refused"].inc(len(ticket.batch))
