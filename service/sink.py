"""The threads that tell others of incidents: one for each sink, which tries until it is heard."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..model.errors import StoreError
from .delivery import RefusedError, UndeliveredError
from .metrics import Metrics

logger = logging.getLogger("offscript")

_LONGEST_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class Sent:
    """What became of incidents: how many were taken, and why others were refused for good."""

    taken: int = 0
    refused: tuple[str, ...] = ()


class Sink(ABC):
    """Tells one receiver of incidents."""

    name: str
    seconds: float  # between two calls of `send`

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

    def stop(self) -> None:
        """End after what is being sent; what is left is told by the next service."""
        self._stopping.set()
        self._thread.join()
        self._sink.close()

    def _run(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                sent = self._sink.send(time.time())
            except (UndeliveredError, RefusedError, StoreError) as error:
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

    def _failed(self, error: UndeliveredError | RefusedError | StoreError) -> float:
        """Seconds to wait before the next try: ever longer, or as long as the receiver asks."""
        if not self._failures:
            logger.warning("%s: %s; it is tried again", self._sink.name, error)
        self._failures += 1
        self._metrics.sink_up.labels(self._sink.name).set(0)
        asked = error.retry_seconds if isinstance(error, UndeliveredError) else None
        return min(2.0**self._failures, _LONGEST_RETRY_SECONDS) if asked is None else asked
