"""Sends batches on a thread of its own, and again until they are acknowledged."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

import grpc

from ..protos import detector_pb2 as pb
from .errors import may_pass
from .outbox import Outbox

_IDLE_SECONDS = 1.0


class Sender:
    """Sends what is in an outbox by `score`, one call after the other if one breaks off.

    `retry` waits after an error, or raises what no retry mends. `sending` is called with each batch
    before it goes out, at every time that it does. It ends after `closing` is set.
    """

    def __init__(
        self,
        outbox: Outbox,
        score: Callable[[Iterator[pb.EventBatch]], Iterator[pb.ScoreBatch]],
        retry: Callable[[grpc.RpcError, int], None],
        closing: threading.Event,
        *,
        acknowledged: Callable[[pb.ScoreBatch], None],
        waiting: Callable[[grpc.RpcError], None],
        sending: Callable[[pb.EventBatch], None],
    ) -> None:
        self._outbox = outbox
        self._score = score
        self._retry = retry
        self._acknowledged = acknowledged
        self._waiting = waiting
        self._sending = sending
        self._closing = closing
        self._error: Exception | None = None  # that sending again does not mend
        self._thread: threading.Thread | None = None
        self._progress = -math.inf  # when something was acknowledged last, on the monotonic clock
        self._full_since = math.inf

    def start(self) -> None:
        """Send from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._send, name="sender", daemon=True)
            self._thread.start()

    def make_room(self, patience: float = math.inf) -> bool:
        """Wait until something may be added; False once nothing was acknowledged for `patience`
        seconds, and from then on at once, until something is.
        """
        self.start()
        with self._outbox.changed:
            while self._outbox.full:
                self._raise_error()
                self._full_since = min(self._full_since, time.monotonic())
                if not self._wait(max(self._full_since, self._progress) + patience):
                    return False
        self._full_since = math.inf
        self._raise_error()
        return True

    def flush(self, timeout: float, patience: float) -> bool:
        """Wait until all is acknowledged; False if that takes longer than `timeout` seconds, or
        nothing was for `patience` seconds.
        """
        self._outbox.complete()
        began = time.monotonic()
        with self._outbox.changed:
            while len(self._outbox):
                self._raise_error()
                if not self._wait(min(began + timeout, max(began, self._progress) + patience)):
                    return False
        return True

    def join(self) -> None:
        """Wait for the thread, once it is to end."""
        if self._thread is not None:
            self._thread.join()

    def _wait(self, deadline: float) -> bool:
        """Wait for a change of the outbox; False if it is past the deadline by now."""
        left = deadline - time.monotonic()
        if left > 0:
            self._outbox.changed.wait(None if math.isinf(left) else left)
        return left > 0

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _send(self) -> None:
        try:
            self._talk()
        except Exception as error:  # noqa: BLE001 - it is raised where this thread is waited for
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._outbox.connect()  # wakes whoever waits

    def _talk(self) -> None:
        failures = 0
        while not self._closing.is_set() and self._error is None:
            batches = self._batches(self._outbox.connect())
            try:
                for reply in self._score(batches):
                    failures = 0
                    if reply.HasField("drain"):
                        self._outbox.connect()  # ends the batches, not the answers
                    else:
                        self._progress = time.monotonic()
                        self._acknowledged(reply)
                        self._outbox.acknowledge(reply.seq)
            except grpc.RpcError as error:
                failures += 1
                if failures == 1 and may_pass(error) and not self._closing.is_set():
                    self._waiting(error)
                self._retry(error, failures)

    def _batches(self, connection: int) -> Iterator[pb.EventBatch]:
        while self._outbox.connection == connection:
            batch = self._outbox.next(connection, _IDLE_SECONDS)
            if batch is None:
                continue
            try:
                self._sending(batch)
            except Exception as error:  # noqa: BLE001 - gRPC, whose thread this is, would hide it
                self._fail(error)
                return
            yield batch
