"""The thread that writes to the store: what waits goes into one transaction; old alerts go out.

Of the shards' state a transaction takes one piece at the most, and none right after one that did
while there are alerts: their clients wait for them, and state can be large.

While the store fails, all that was handed in stays in memory, in order, and is tried again; what
waits for it is not acknowledged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..model.alert import Alert
from ..model.errors import StoreError
from .arrays import Saved
from .audit import Deed
from .config import ServiceConfig
from .metrics import Metrics
from .store import Store
from .stored import StoredAlert
from .suppression import Grounds, not_known

logger = logging.getLogger("offscript")

_RETRY_SECONDS = 0.5
_FORGET_SECONDS = 60.0  # between two looks for alerts to delete
_PAUSE_SECONDS = 0.05  # between two batches of them, for others to write
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Entry:
    """Alerts, state and deeds to be stored, and whom to tell when they are."""

    alerts: tuple[Alert, ...] = ()
    deeds: tuple[Deed, ...] = ()
    state: tuple[str, int, Saved] | None = None  # of a model's shard
    done: Callable[[list[StoredAlert]], None] | None = None


class Writer:
    """Stores entries in the order in which they are handed in; any thread may hand in.

    `grounds` are asked for alerts that may be suppressed. Between entries it deletes the alerts
    that are old or too many, a batch at a time.
    """

    def __init__(
        self,
        store: Store,
        config: ServiceConfig,
        metrics: Metrics,
        changed: Callable[[], None] = lambda: None,
        grounds: Grounds = not_known,
    ) -> None:
        self._store = store
        self._config = config
        self._metrics = metrics
        self._changed = changed
        self._grounds = grounds
        self._entries: deque[Entry] = deque()  # without a state
        self._states: deque[Entry] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._forget_at = 0.0  # on the monotonic clock
        self.pending = 0  # alerts that are not stored yet
        self.error: StoreError | None = None  # why the last write failed
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._metrics.store_up.set(1)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Hand in an entry; it is stored after all alerts that were handed in before."""
        with self._wake:
            (self._entries if entry.state is None else self._states).append(entry)
            self.pending += len(entry.alerts)
            self._wake.notify()

    def stop(self) -> None:
        """Store what waits, with a last try if the store fails, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        if self._entries or self._states:
            what = "%d alerts, and the streams' state or deeds that came with them, are lost: %s"
            logger.error(what, self.pending, self.error)

    def _run(self) -> None:
        took_state = False  # the transaction before
        while True:
            with self._wake:
                left = max(0.0, self._forget_at - time.monotonic())
                self._wake.wait_for(lambda: self._entries or self._states or self._stopping, left)
                waiting = list(self._entries)
                takes_state = bool(self._states) and not (took_state and waiting)
                if takes_state:
                    waiting.append(self._states[0])
                stopping = self._stopping
            if waiting and self._write(waiting):
                took_state = takes_state
                with self._wake:
                    for _ in range(len(waiting) - takes_state):
                        self._entries.popleft()
                    if takes_state:
                        self._states.popleft()
            elif stopping:
                return
            elif waiting:
                time.sleep(_RETRY_SECONDS)
            if time.monotonic() >= self._forget_at:
                self._forget()

    def _write(self, entries: list[Entry]) -> bool:
        alerts = [alert for entry in entries for alert in entry.alerts]
        states = [entry.state for entry in entries if entry.state is not None]
        deeds = [deed for entry in entries for deed in entry.deeds]
        held, start = self._store.incidents_held, time.perf_counter()
        try:
            stored = self._store.write(alerts, states, deeds, grounds=self._grounds)
        except StoreError as error:
            if self.error is None:
                logger.error("%s; alerts are kept in memory until it works again", error)
            self.error = error
            self._metrics.store_up.set(0)
            self._metrics.alerts_pending.set(self.pending)
            return False
        if self.error is not None:
            logger.warning("the alert store works again")
        self.error = None
        self._metrics.store_up.set(1)
        self._metrics.store_commit_seconds.observe(time.perf_counter() - start)
        self._metrics.incidents_held.inc(self._store.incidents_held - held)
        with self._wake:
            self.pending -= len(alerts)
        self._metrics.alerts_pending.set(self.pending)
        end = 0
        for entry in entries:
            begin, end = end, end + len(entry.alerts)
            if entry.done is not None:
                entry.done(stored[begin:end])
        quiet = sum(alert.status == "suppressed" for alert in stored)
        self._metrics.alerts_suppressed.inc(quiet)
        if len(alerts) > quiet:
            self._changed()
        return True

    def _forget(self) -> None:
        now = time.time()
        before = now - self._config.keep_days * _DAY_SECONDS
        wait = _FORGET_SECONDS
        try:
            forgotten = self._store.forget(
                before=before,
                most=self._config.max_alerts,
                most_bytes=self._config.max_alert_bytes,
            )
            self._store.forget_deeds(before=now - self._config.keep_audit_days * _DAY_SECONDS)
        except StoreError as error:
            logger.warning("%s; old alerts are deleted later", error)
        else:
            self._metrics.alerts_deleted.inc(forgotten.deleted)
            self._metrics.alerts_stored.set(forgotten.stored)
            if forgotten.more:
                wait = _PAUSE_SECONDS
        self._forget_at = time.monotonic() + wait
