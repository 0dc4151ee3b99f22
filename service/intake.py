"""Requests with log records in, answers out; what is sent again is answered again, scored once."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from ..model.errors import StoreError
from .batch import Outcome
from .body import Room, Take
from .config import LOGS_BYTES, MESSAGE_BYTES
from .engine import Engine
from .otlp import LogReader, Logs, Reason

LOGS_SERVICE = logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"].full_name

_REMEMBERED = 4096  # requests
_REMEMBERED_SECONDS = 600.0  # and as long as there is no answer; senders give up before
_PATIENCE_SECONDS = 5.0  # that an answer waits for the store before it asks how that is

_UNKEYED = Reason(
    "unkeyed", "with no stream key in the body (--otlp-stream makes one of attributes)"
)
_BROKEN = Reason("broken", "with a body that is not the JSON object which this model reads")
_BLANK = Reason("continuation", "with a blank body")


@dataclass(frozen=True)
class _Taken:
    """A request of late, what it is answered, and by model what of it is passed over.

    It has none of the alerts that came of it: those of all requests would fill the memory.
    """

    time: float
    answer: Future[ExportLogsServiceResponse]
    scored: Mapping[str, Future[Counter[Reason]]]


class LogIntake:
    """Takes requests for one engine; any thread may call `take`.

    A sender that saw no answer sends the whole request again, byte for byte, so requests are known
    by a digest. One without any time is never taken for another: a program may say the same twice.
    Of one that failed only the models that failed get their records again.
    """

    def __init__(self, engine: Engine, stream: tuple[str, ...], attribute: str = "") -> None:
        self._stream = stream
        self._attribute = attribute
        self._engine = engine
        self._taken: OrderedDict[bytes, _Taken] = OrderedDict()
        self._lock = threading.Lock()
        self._room = Room(4 * LOGS_BYTES)
        # Many empty messages in one swell to 70 times their bytes (measured), so large requests are
        # read one at a time.
        self._large = threading.Lock()

    def share(self) -> AbstractContextManager[Take]:
        """Memory for one request until it is taken, by the piece; OverloadError if there is none,
        or events have waited for too long.
        """
        self._engine.check_wait()
        return self._room.share()

    def take(self, data: bytes, *, as_json: bool = False) -> Future[ExportLogsServiceResponse]:
        """The answer to come; OverloadError, and nothing happens, if there is no room."""
        now = time.time()
        models = {name: served.model.config.events for name, served in self._engine.served.items()}
        reader = LogReader(models, self._stream, self._attribute)
        with self._large if len(data) > MESSAGE_BYTES else nullcontext():
            logs = reader.read(data, as_json=as_json, received=now)
        digest = blake2b(data, digest_size=16).digest()
        with self._lock:
            taken = self._taken.get(digest) if logs.timed else None
            known: dict[str, Future[Counter[Reason]]] = {}
            if taken is not None and (
                not taken.answer.done() or now - taken.time < _REMEMBERED_SECONDS
            ):
                known = {name: each for name, each in taken.scored.items() if not _failed(each)}
                for batch in logs.batches:
                    if batch.model in known:
                        self._count(batch.model, "repeated", len(batch))
                if not _failed(taken.answer):
                    return taken.answer
            answer, scored = self._submit(logs, known)
            if logs.timed:
                self._taken[digest] = _Taken(now, answer, scored)
                self._taken.move_to_end(digest)
                if len(self._taken) > _REMEMBERED:
                    self._taken.popitem(last=False)
        for model, rejected in logs.rejected.items():
            for reason, count in rejected.items():
                self._count(model, reason.outcome, count)
        return answer

    def wait(self, answer: Future[ExportLogsServiceResponse]) -> ExportLogsServiceResponse:
        """The answer, once it is there; StoreError if that waits for a store that fails."""
        while True:
            try:
                return answer.result(_PATIENCE_SECONDS)
            except TimeoutError:
                if self._engine.store_error is not None:
                    raise StoreError(str(self._engine.store_error)) from None

    def _submit(
        self, logs: Logs, known: Mapping[str, Future[Counter[Reason]]]
    ) -> tuple[Future[ExportLogsServiceResponse], Mapping[str, Future[Counter[Reason]]]]:
        """The answer to come, and what comes of each model's records, unless that is known."""
        answer: Future[ExportLogsServiceResponse] = Future()
        answer.set_running_or_notify_cancel()  # one who stops waiting must not end it for others
        rejected = sum(logs.rejected.values(), Counter[Reason]())
        batches = [batch for batch in logs.batches if batch.model not in known]
        futures = self._engine.submit_all(batches) if batches else []
        own = {
            batch.model: _passed_over(each) for batch, each in zip(batches, futures, strict=True)
        }
        scored = {**known, **own}
        _settle(answer, rejected, [*scored.values()])
        return answer, scored

    def _count(self, model: str, outcome: str, records: int) -> None:
        self._engine.served[model].metrics.events[outcome].inc(records)


def _failed(future: Future[Any]) -> bool:
    return future.done() and future.exception() is not None


def _passed_over(scored: Future[Outcome]) -> Future[Counter[Reason]]:
    """How many records were not scored and why, once that is known; it does not keep the rest."""
    answer: Future[Counter[Reason]] = Future()

    def tell(scored: Future[Outcome]) -> None:
        error = scored.exception()
        if error is not None:
            answer.set_exception(error)
            return
        outcome = scored.result()
        reasons = {
            _UNKEYED: outcome.unkeyed,
            _BROKEN: outcome.broken,
            _BLANK: outcome.continuations,
        }
        answer.set_result(Counter(reasons))

    scored.add_done_callback(tell)
    return answer


def _settle(
    answer: Future[ExportLogsServiceResponse],
    rejected: Counter[Reason],
    scored: Sequence[Future[Counter[Reason]]],
    _: object = None,
) -> None:
    """Answer, now or when the last is scored."""
    for future in scored:
        if not future.done():
            future.add_done_callback(partial(_settle, answer, rejected, scored))
            return
        error = future.exception()
        if error is not None:
            answer.set_exception(error)
            return
    passed_over = (future.result() for future in scored)
    answer.set_result(_response(sum(passed_over, rejected)))


def _response(rejected: Counter[Reason]) -> ExportLogsServiceResponse:
    """All was well, or how many records were not scored and why."""
    response = ExportLogsServiceResponse()
    if rejected:
        response.partial_success.rejected_log_records = rejected.total()
        response.partial_success.error_message = "log records not scored: " + "; ".join(
            f"{count:,} {reason.text}" for reason, count in rejected.items()
        )
    return response
