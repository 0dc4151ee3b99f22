"""A client of the service: sends events in batches, reads alerts, asks why, gives verdicts."""

from __future__ import annotations

import math
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from ..model.errors import InputError, OffscriptError
from ..protos import detector_pb2 as pb
from ..protos.detector_pb2_grpc import DetectorStub
from .config import LINE_CHARACTERS, MESSAGE_BYTES
from .credentials import Credentials
from .errors import from_rpc, may_pass, retry_seconds
from .outbox import Outbox
from .sender import Sender

_WINDOW = 32  # batches under way
_LONGEST_RETRY_SECONDS = 5.0
_CALL_SECONDS = 30.0

_VERDICTS = [name.removeprefix("VERDICT_").lower() for name in pb.Verdict.keys()[1:]]
_STATUSES = [name.removeprefix("STATUS_").lower() for name in pb.Status.keys()[1:]]

Answer = TypeVar("Answer")


class Client:
    """Connected to the service at `address`, HOST:PORT. `model` is the name of the model that is to
    score what is sent; without one its default does.

    `event`, `line` and `end` only gather; what they got is sent when a batch is full or 20 ms
    later, and sent again if the connection breaks before it is acknowledged. They wait while too
    much is under way. `acknowledged` is called with each acknowledgement, `waiting` with the reason
    when the service is away, `sending` with each batch before it goes out; all from threads that
    talk to it. `again` are batches that a client before this one may have sent, to go out first.
    """

    def __init__(
        self,
        address: str,
        *,
        model: str = "",
        credentials: Credentials = Credentials(),  # noqa: B008 - it never changes
        acknowledged: Callable[[pb.ScoreBatch], None] = lambda _: None,
        waiting: Callable[[str], None] = lambda _: None,
        sending: Callable[[pb.EventBatch], None] = lambda _: None,
        again: Sequence[pb.EventBatch] = (),
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._metadata = credentials.metadata
        self._channel = credentials.channel(
            address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", MESSAGE_BYTES),
                ("grpc.keepalive_time_ms", 30_000),
                # The retries are ours; gRPC's own would wait up to two minutes between two.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 2000),
            ],
        )
        self._stub = DetectorStub(self._channel)
        self._outbox = Outbox(uuid.uuid4().hex, _WINDOW, model, again)
        self._closing = threading.Event()
        self._sender = Sender(
            self._outbox,
            lambda batches: self._stub.Score(batches, metadata=self._metadata),
            self._wait_to_retry,
            self._closing,
            acknowledged=acknowledged,
            waiting=lambda error: waiting(str(self._translated(error))),
            sending=sending,
        )
        if again:
            self._sender.start()

    def __enter__(self) -> Client:  # noqa: PYI034 - beartype checks no Self in a plain class
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.flush()
        self.close()

    def event(
        self, name: str, *, stream: str = "", time: float | None = None, started: bool = False
    ) -> None:
        """Send one event by name; `time` in unix seconds, `started` for the first of a stream."""
        micros = 0 if time is None else round(time * 1e6)
        self._sender.make_room()
        self._outbox.add(stream=stream, name=name, time_micros=micros, started=started)

    def line(self, line: str, *, stream: str | None = None, time: float | None = None) -> None:
        """Send one raw line; stream and time are read from it unless they are given.

        Of an endless line the beginning is sent, which says what kind of event it is.
        """
        micros = 0 if time is None else round(time * 1e6)
        self._sender.make_room()
        self._outbox.add(stream=stream, line=line[:LINE_CHARACTERS], time_micros=micros)

    def end(self, stream: str) -> None:
        """Say that a stream is over."""
        self._sender.make_room()
        self._outbox.end(stream)

    def has_room(self, patience: float) -> bool:
        """Wait until something can be added without waiting; False once the service has
        acknowledged nothing for `patience` seconds, and from then on at once, until it does.
        """
        return self._sender.make_room(patience)

    def flush(self, timeout: float = math.inf, *, patience: float = math.inf) -> bool:
        """Wait until all is acknowledged; False if that takes longer than `timeout` seconds, or
        nothing was acknowledged for `patience` seconds.
        """
        return self._sender.flush(timeout, patience)

    @property
    def unacknowledged(self) -> int:
        """Rows that may not have arrived."""
        return self._outbox.rows

    def score_once(self, batch: pb.EventBatch) -> pb.ScoreBatch:
        """Score one batch in a call of its own."""
        return self._ask(self._stub.ScoreOnce, batch)

    def alerts(
        self,
        *,
        stream: str | None = None,
        detector: str = "",
        since: float | None = None,
        status: str = "",
        model: str | None = None,
    ) -> Iterator[pb.Alert]:
        """Alerts, newest first; `since` in unix seconds, `model` the name of one.

        `status` is one of `pb.Status` in small letters; without one all but suppressed ones come.
        """
        if status and status not in _STATUSES:
            raise InputError(f"expected a status of {', '.join(_STATUSES)}, got {status!r}")
        request = pb.ListAlertsRequest(
            stream=stream,
            detector=detector,
            since_micros=0 if since is None else round(since * 1e6),
            status=pb.Status.Value(f"STATUS_{status.upper() or 'UNSPECIFIED'}"),
            model=model,
        )
        for page in self._pages(self._stub.ListAlerts, request):
            yield from page.alerts

    def watch(
        self,
        *,
        stream: str | None = None,
        detector: str = "",
        since: float | None = None,
        model: str | None = None,
    ) -> Iterator[pb.Alert]:
        """Alerts as they change, for ever; first those seen since `since`, unix seconds.

        A watch that breaks off goes on where it was, with what came in the meantime.
        """
        request = pb.WatchAlertsRequest(
            stream=stream,
            detector=detector,
            since_micros=0 if since is None else round(since * 1e6),
            model=model,
        )
        failures = 0
        while not self._closing.is_set():
            try:
                if not (request.after_revision or request.since_micros):
                    # From where the watch begins, so that it goes on from there if it breaks off.
                    newest = pb.ListAlertsRequest(page_size=1)
                    page = self._stub.ListAlerts(
                        newest, timeout=_CALL_SECONDS, metadata=self._metadata
                    )
                    request.after_revision = page.revision
                    request.since_micros = 0 if page.revision else 1
                for alert in self._stub.WatchAlerts(request, metadata=self._metadata):
                    failures = 0
                    request.after_revision = alert.revision
                    yield alert
            except grpc.RpcError as error:
                failures += 1
                self._wait_to_retry(error, failures)

    def explain(self, alert_id: str, *, checks: bool = True) -> pb.Explanation:
        """Why an alert was raised; `checks` also replaces the evidence and scores again."""
        request = pb.ExplainRequest(alert_id=alert_id, checks=checks)
        return self._ask(self._stub.Explain, request, seconds=4 * _CALL_SECONDS)

    def feedback(
        self,
        alert_id: str,
        verdict: str,
        *,
        comment: str = "",
        by: str = "",
        suppress: pb.Wish | None = None,
    ) -> pb.FeedbackResponse:
        """Record what is said of an alert or done with it; suppress a normal one's mechanism."""
        if verdict not in _VERDICTS:
            raise InputError(f"expected a verdict of {', '.join(_VERDICTS)}, got {verdict!r}")
        request = pb.FeedbackRequest(
            alert_id=alert_id,
            verdict=pb.Verdict.Value(f"VERDICT_{verdict.upper()}"),
            comment=comment,
            by=by,
            suppress=suppress,
        )
        return self._ask(self._stub.Feedback, request)

    def suppressions(self) -> list[pb.Suppression]:
        """All suppressions, those over too, newest first."""
        request = pb.ListSuppressionsRequest()
        found = self._ask(self._stub.ListSuppressions, request)
        return list(found.suppressions)

    def revoke(self, suppression_id: str) -> pb.Suppression:
        """End a suppression before its time."""
        request = pb.RevokeRequest(suppression_id=suppression_id)
        return self._ask(self._stub.Revoke, request).suppression

    def describe(self, model: str = "") -> pb.ModelDescription:
        """The model that is served under a name, or the default one; and the names of all."""
        request = pb.DescribeModelRequest(model=model)
        return self._ask(self._stub.DescribeModel, request)

    def reload(self, path: Path | None = None, *, model: str = "") -> pb.ReloadResponse:
        """Have a model served under a name: of a folder on its machine, or as at first."""
        # A path may be no Unicode, as the service will say of it.
        name = "" if path is None else os.fsencode(path.absolute()).decode(errors="replace")
        request = pb.ReloadRequest(path=name, model=model)
        return self._ask(self._stub.Reload, request, seconds=4 * _CALL_SECONDS)

    def deeds(self, *, since: float | None = None) -> Iterator[pb.Deed]:
        """The audit trail, newest first; `since` in unix seconds."""
        request = pb.ListDeedsRequest(since_micros=0 if since is None else round(since * 1e6))
        for page in self._pages(self._stub.ListDeeds, request):
            yield from page.deeds

    def close(self) -> None:
        """Hang up; what is not acknowledged by now may not have arrived."""
        self._closing.set()
        self._outbox.connect()
        self._channel.close()
        self._sender.join()

    def _wait_to_retry(self, error: grpc.RpcError, failures: int) -> None:
        """Wait as long as the service asks, or ever longer; raises what no retry mends."""
        if self._closing.is_set():
            return
        if not may_pass(error):
            raise self._translated(error) from error
        asked = retry_seconds(error)
        delay = 0.05 * 2 ** min(failures, 10) if asked is None else asked
        self._closing.wait(min(delay, _LONGEST_RETRY_SECONDS))

    def _pages(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        while True:
            page = self._ask(method, request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def _ask(
        self, method: Callable[..., Answer], request: Message, *, seconds: float = _CALL_SECONDS
    ) -> Answer:
        try:
            return method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def _translated(self, error: grpc.RpcError) -> OffscriptError:
        return from_rpc(error, self._address, self._credentials.trouble)
