"""The threads that tell others of incidents: one for each sink, which tries until it is heard."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..model.errors import OffscriptError
from .delivery import UndeliveredError
from .metrics import Metrics

logger = logging.getLogger("offscript")

_SHORTEST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 1.0, 60.0
_LAST_SECONDS = 10.0  # for a message that is under way when the service stops


@dataclass(frozen=True)
class Sent:
    """What became of incidents: how many were taken, and why others were refused for good."""

    taken: int = 0
    refused: tuple[str, ...] = ()


class Sink(ABC):
    """Tells one receiver of incidents."""

    name: str
    seconds: float  # between two calls of `send`

    def __init__(self) -> None:
        self.ending = False  # the service stops: begin nothing more

    @abstractmethod
    def send(self, now: float) -> Sent:
        """Tell what is to be told at unix time `now`; UndeliveredError if that has to wait."""

    @abstractmethod
    def close(self) -> None:
        """Hang up."""


class Teller:
    """Drives a sink on a thread of its own, so that a receiver that hangs delays nothing else."""

    def __init__(self, sink: Sink, metrics: Metrics) -> None:
        self._sink = sink
        self._metrics = metrics
        self._stopping = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)

    def start(self) -> None:
        self._metrics.sink_up.labels(self._sink.name).set(1)
        self._thread.start()

    def end(self) -> None:
        """Begin nothing more; what is left is told by the next service."""
        self._sink.ending = True
        self._stopping.set()

    def stop(self) -> None:
        """Wait for what is being sent, but not for a receiver that takes its time."""
        self.end()
        self._thread.join(_LAST_SECONDS)
        if not self._thread.is_alive():
            self._sink.close()

    def _run(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                sent = self._sink.send(time.time())
            except Exception as error:  # noqa: BLE001 - a sink must not take the service with it
                wait = self._failed(error)
            else:
                self._worked(sent)
                wait = self._sink.seconds

    def _worked(self, sent: Sent) -> None:
        if self._failures:
            logger.warning("%s works again", self._sink.name)
        self._failures = 0
        self._metrics.sink_up.labels(self._sink.name).set(1)
        self._metrics.sink_incidents.labels(self._sink.name, "taken").inc(sent.taken)
        self._metrics.sink_incidents.labels(self._sink.name, "refused").inc(len(sent.refused))
        for reason in sent.refused[:1]:
            logger.warning(
                "%s: %d incidents refused: %s", self._sink.name, len(sent.refused), reason
            )

    def _failed(self, error: Exception) -> float:
        """Seconds to wait before the next try: ever longer, or as long as the receiver asks."""
        if not self._failures:
            fault = None if isinstance(error, OffscriptError) else error
            logger.warning("%s: %s; it is tried again", self._sink.name, error, exc_info=fault)
        self._failures += 1
        self._metrics.sink_up.labels(self._sink.name).set(0)
        asked = error.retry_seconds if isinstance(error, UndeliveredError) else None
        later = min(2.0 ** min(self._failures, 10), _LONGEST_RETRY_SECONDS)
        return later if asked is None else max(asked, _SHORTEST_RETRY_SECONDS)
