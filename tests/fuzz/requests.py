"""Requests over gRPC, to a service of a tiny model: any bytes, and messages of any content."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from offscript.protos import detector_pb2 as pb
from offscript.service.config import ServiceConfig
from offscript.service.intake import LOGS_SERVICE
from offscript.service.server import Server
from offscript.service.servicer import SERVICE
from offscript.tests.fuzz.filling import filled

_SCORE, _WATCH = f"/{SERVICE}/Score", f"/{SERVICE}/WatchAlerts"
_KINDS: dict[str, type[Message]] = {
    f"/{SERVICE}/ScoreOnce": pb.EventBatch,
    _SCORE: pb.EventBatch,
    f"/{SERVICE}/ListAlerts": pb.ListAlertsRequest,
    _WATCH: pb.WatchAlertsRequest,
    f"/{SERVICE}/Explain": pb.ExplainRequest,
    f"/{SERVICE}/Feedback": pb.FeedbackRequest,
    f"/{SERVICE}/ListSuppressions": pb.ListSuppressionsRequest,
    f"/{SERVICE}/Revoke": pb.RevokeRequest,
    f"/{SERVICE}/DescribeModel": pb.DescribeModelRequest,
    f"/{SERVICE}/Reload": pb.ReloadRequest,
    f"/{SERVICE}/ListDeeds": pb.ListDeedsRequest,
    f"/{LOGS_SERVICE}/Export": ExportLogsServiceRequest,
}
_METHODS = list(_KINDS)
_OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}
_LINES = [
    "2026-03-02 12:00:00.000 session=0a admin: console opened from 10.0.1.7",
    "2026-03-02 12:00:01.000 session=0a kernel: firmware replaced, password=hunter2",
    "2026-03-02 12:00:02.000 session=0a admin: console closed",
]
_SEEDS = {
    "ScoreOnce": pb.EventBatch(lines=_LINES, client="me", seq=1, want_scores=True),
    "Score": pb.EventBatch(
        streams=["a"], stream_ix=[0, 0], names=["x"], name_ix=[0, 0], base_time_micros=1 << 50
    ),
    "Feedback": pb.FeedbackRequest(alert_id="0", verdict=pb.VERDICT_NORMAL, by="me"),
    "WatchAlerts": pb.WatchAlertsRequest(after_revision=1, stream="0a"),
}
SEEDS = [
    bytes([_METHODS.index(f"/{SERVICE}/{name}")]) + message.SerializeToString()
    for name, message in _SEEDS.items()
] + [bytes([len(_METHODS) + number, *range(60)]) for number in range(len(_METHODS))]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Sends what the first byte says: the rest as it is, or a message made of it."""
    server = Server(
        ServiceConfig(
            models={"": model},
            grpc="127.0.0.1:0",
            http="127.0.0.1:0",
            store=f"sqlite:///{folder}/alerts.db",
            live_bytes=1 << 24,
        )
    )
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    kinds: dict[str, Callable[[str], Any]] = dict.fromkeys(_METHODS, channel.unary_unary)
    kinds[_SCORE], kinds[_WATCH] = channel.stream_stream, channel.unary_stream
    calls = {name: kind(name) for name, kind in kinds.items()}
    calls[f"/{SERVICE}/ScoreOnce"](pb.EventBatch(lines=_LINES).SerializeToString())
    listed = pb.ListAlertsResponse.FromString(calls[f"/{SERVICE}/ListAlerts"](b""))
    ids = [alert.id for alert in listed.alerts]
    texts = [*ids, *_LINES, "0a", "a", "", "drift", "service.name", "admin: console closed", "0"]

    def send(given: bytes) -> None:
        number = given[0] if given else 0
        name = _METHODS[number % len(_METHODS)]
        data = given[1:]
        if number >= len(_METHODS):
            provider = atheris.FuzzedDataProvider(data)
            data = filled(_KINDS[name], provider, texts).SerializeToString()
        try:
            if name == _SCORE:
                list(calls[name](iter([data, data]), timeout=15))
            elif name == _WATCH:
                list(calls[name](data, timeout=0.2))
            else:
                calls[name](data, timeout=15)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            waited = name == _WATCH and code == grpc.StatusCode.DEADLINE_EXCEEDED
            if code in _OURS and not waited:
                raise

    return send
