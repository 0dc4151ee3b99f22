"""The gRPC methods: message → our types, one call, our types → message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from ..model.errors import OverloadError
from ..protos import detector_pb2 as pb
from . import messages
from .access import Access
from .allowance import SENDER, address_of
from .answers import Answers
from .batch import Batch
from .engine import Engine
from .errors import Context, abort
from .explaining import Explainer
from .intake import LOGS_SERVICE, LogIntake
from .metrics import Metrics
from .operations import Operations
from .store import Store
from .turns import Turns

SERVICE = pb.DESCRIPTOR.services_by_name["Detector"].full_name

_READERS = 2  # OTLP requests read at a time
_EXPLAINERS = 2  # explanations made at a time
_PAGE = 500  # alerts read at a time for a watcher


class Servicer:
    """Answers for one engine and one store. Requests are taken as bytes, so that what is no message
    is the caller's mistake and not a failure of ours.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        metrics: Metrics,
        intake: LogIntake,
        access: Access,
        *,
        version: str,
        grace_seconds: float,
    ) -> None:
        self._engine = engine
        self._store = store
        self._metrics = metrics
        self._intake = intake
        self._access = access
        self._version = version
        self._grace_seconds = grace_seconds
        self._turns = Turns(engine)
        self._explainer = Explainer(engine, store)
        # Their own threads: who asks for alerts need not wait for logs to be read.
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="logs")
        self._explaining = ThreadPoolExecutor(_EXPLAINERS, thread_name_prefix="explainer")
        self._changed = asyncio.Event()
        self._draining = False
        self._streams: set[Answers[pb.ScoreBatch]] = set()

    def handlers(self, operations: Operations) -> tuple[grpc.GenericRpcHandler, ...]:
        """All methods of our service and of OTLP's, for a server."""
        unary = {
            "ScoreOnce": self._score_once,
            "ListAlerts": self._list_alerts,
            "Explain": self._explain,
            "DescribeModel": self._describe_model,
        }
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                partial(self._answer, name, method), response_serializer=_serialize
            )
            for name, method in unary.items()
        }
        for name, said in operations.methods().items():
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                partial(self._answer_named, name, said), response_serializer=_serialize
            )
        handlers["Score"] = grpc.stream_stream_rpc_method_handler(
            partial(self._answer_stream, "Score", self._score), response_serializer=_serialize
        )
        handlers["WatchAlerts"] = grpc.unary_stream_rpc_method_handler(
            partial(self._answer_stream, "WatchAlerts", self._watch_alerts),
            response_serializer=_serialize,
        )
        logs: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Export": grpc.unary_unary_rpc_method_handler(
                partial(self._answer, "Export", self._export), response_serializer=_serialize
            )
        }
        return (
            grpc.method_handlers_generic_handler(SERVICE, handlers),
            grpc.method_handlers_generic_handler(LOGS_SERVICE, logs),
        )

    def alerts_changed(self) -> None:
        """Wake the watchers; on the event loop's thread."""
        self._changed.set()
        self._changed = asyncio.Event()

    def drain(self) -> None:
        """Tell open streams that the service is about to stop; on the event loop's thread."""
        self._draining = True
        for answers in self._streams:
            answers.say(self._drain_notice())
        self.alerts_changed()

    async def _score_once(self, request: bytes) -> pb.ScoreBatch:
        self._engine.check_wait()
        batch = self._batch(request)
        future = self._engine.submit(batch)
        try:
            write = partial(messages.write_outcome, batch.seq)
            return await Answers[pb.ScoreBatch](self._engine).only(future, write)
        except asyncio.CancelledError:  # the caller's time is up: it need not be scored any more
            future.cancel()
            raise

    async def _export(self, request: bytes) -> ExportLogsServiceResponse:
        with self._intake.share() as take:
            take(len(request))
            reading = partial(copy_context().run, self._intake.take, request)
            answer = await asyncio.get_running_loop().run_in_executor(self._reading, reading)
        return await Answers[ExportLogsServiceResponse](self._engine).only(answer)

    async def _score(self, requests: AsyncIterator[bytes]) -> AsyncIterator[pb.ScoreBatch]:
        """Answers in the order of the requests, while later ones are being read and scored."""
        answers: Answers[pb.ScoreBatch] = Answers(self._engine)
        self._streams.add(answers)
        reading = asyncio.create_task(self._read(requests, answers))
        try:
            if self._draining:
                yield self._drain_notice()
            while (answer := await answers.next()) is not None:
                yield answer
                if not answer.HasField("drain"):
                    answers.room.release()
        finally:
            reading.cancel()
            self._streams.discard(answers)

    async def _read(self, requests: AsyncIterator[bytes], answers: Answers[pb.ScoreBatch]) -> None:
        """Submit what comes; where there is no room the stream waits, and with it its client."""
        try:
            async for request in requests:
                await answers.room.acquire()
                batch = self._batch(request)
                future = await self._turns.submit(batch)
                answers.expect(future, partial(messages.write_outcome, batch.seq))
            answers.say(None)
        except Exception as error:  # noqa: BLE001 - it ends the stream, where it is told apart
            answers.say(error)

    async def _list_alerts(self, request: bytes) -> pb.ListAlertsResponse:
        message = messages.parse(pb.ListAlertsRequest, request)
        which = messages.read_filter(message)
        limit, before = messages.read_page(message)
        revision = await asyncio.to_thread(lambda: self._store.revision)
        found = await asyncio.to_thread(self._store.alerts, which, limit=limit + 1, before=before)
        page = found[:limit]
        return pb.ListAlertsResponse(
            revision=revision,
            alerts=[messages.write_alert(stored) for stored in page],
            next_page_token=str(page[-1].row) if len(found) > limit else "",
        )

    async def _watch_alerts(self, request: bytes) -> AsyncIterator[pb.Alert]:
        message = messages.parse(pb.WatchAlertsRequest, request)
        which = messages.read_filter(message)
        after = messages.read_revision(message)
        if not after and not message.since_micros:
            after = await asyncio.to_thread(lambda: self._store.revision)
        while not self._draining:
            changed = self._changed  # before reading, so that no change falls between
            found = await asyncio.to_thread(self._store.changes, which, after=after, limit=_PAGE)
            for stored in found:
                yield messages.write_alert(stored)
            if found:
                after = found[-1].revision
            else:
                await changed.wait()
        raise OverloadError("the service stops; watch again in a moment", retry_seconds=1.0)

    async def _explain(self, request: bytes) -> pb.Explanation:
        message = messages.parse(pb.ExplainRequest, request)
        explained = partial(self._explainer.explain, message.alert_id, checks=message.checks)
        return await asyncio.get_running_loop().run_in_executor(self._explaining, explained)

    async def _describe_model(self, request: bytes) -> pb.ModelDescription:
        served = self._engine.of(messages.parse(pb.DescribeModelRequest, request).model)
        return messages.write_model(
            served.model, self._version, name=served.name, served=self._engine.served
        )

    def _batch(self, request: bytes) -> Batch:
        message = messages.parse(pb.EventBatch, request)
        return messages.read_batch(message, size=len(request), received=time.time())

    def _drain_notice(self) -> pb.ScoreBatch:
        return pb.ScoreBatch(drain=pb.Drain(grace_millis=round(1000 * self._grace_seconds)))

    async def _answer(
        self,
        name: str,
        method: Callable[[bytes], Awaitable[Message]],
        request: bytes,
        context: Context,
    ) -> Message:
        with self._timed(name, context):
            try:
                return await method(request)
            except Exception as error:  # noqa: BLE001 - told apart in one place
                await abort(context, error)

    async def _answer_named(
        self,
        name: str,
        method: Callable[[bytes, str], Awaitable[Message]],
        request: bytes,
        context: Context,
    ) -> Message:
        """The same for a method that wants to know who calls."""
        who = self._access.name(_authorization(context))
        return await self._answer(name, lambda data: method(data, who), request, context)

    async def _answer_stream(
        self,
        name: str,
        method: Callable[[Any], AsyncIterator[Message]],
        request: Any,
        context: Context,
    ) -> AsyncIterator[Message]:
        with self._timed(name, context):
            try:
                async for message in method(request):
                    yield message
            except Exception as error:  # noqa: BLE001 - told apart in one place
                await abort(context, error)

    @contextmanager
    def _timed(self, name: str, context: Context) -> Iterator[None]:
        start = time.perf_counter()
        code: object = None
        SENDER.set(self._access.sender(_authorization(context), address_of(context.peer())))
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):  # its time is up, or its caller has gone
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            code = code or context.code() or grpc.StatusCode.OK
            label = code.name if isinstance(code, grpc.StatusCode) else str(code)
            seconds = time.perf_counter() - start
            self._metrics.rpc_seconds.labels(name, label).observe(seconds)


def _authorization(context: Context) -> str:
    headers = dict(context.invocation_metadata() or ())
    return str(headers.get("authorization", ""))


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
