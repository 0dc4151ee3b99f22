"""Bodies of OTLP over HTTP: protobuf or JSON, packed or in chunks, for models of text and JSON."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from email.message import Message as Headers
from io import BufferedReader, BytesIO
from pathlib import Path

import atheris
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from offscript.model.event import EventConfig
from offscript.model.folder import load_model
from offscript.service.body import Body
from offscript.service.config import ServiceConfig
from offscript.service.engine import Engine
from offscript.service.intake import LogIntake
from offscript.service.metrics import Metrics
from offscript.service.otlp_http import LogsOverHttp
from offscript.service.store import Store
from offscript.tests.fuzz.filling import filled
from offscript.tests.service.otlp_requests import record, request

_PACKED, _CHUNKED, _JSON, _FILLED = 1, 2, 4, 8  # bits of an input's first byte
_WHOLE = request(
    [record("session=0a admin: console opened", second=1.0, m="json", n=[1, {"a": None}])],
    {"service.name": "shop", "id": 7},
)
_TEXT = MessageToJson(_WHOLE, indent=None).encode()
_BYTES = _WHOLE.SerializeToString()
SEEDS = [
    bytes([0]) + _BYTES,
    bytes([_JSON]) + _TEXT,
    bytes([_JSON | _PACKED]) + gzip.compress(_TEXT, mtime=0),
    bytes([_CHUNKED]) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BYTES), _BYTES),
    bytes([_JSON])
    + b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"\\ud800"}}]}]}]}',
    bytes([_JSON]) + b'{"resourceLogs":[' * 400,
    *(bytes([_FILLED | bits, *range(80)]) for bits in (0, _JSON)),
]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Answers a body with the headers that the first byte says."""
    text = load_model(model)
    events = EventConfig("json", stream_key="id", message="text", time="ts")
    json = replace(text, config=replace(text.config, events=events))
    config = ServiceConfig(
        models={"text": model, "json": model},
        store=f"sqlite:///{folder}/alerts.db",
        live_bytes=1 << 24,
    )
    engine = Engine({"text": text, "json": json}, Store(config.store), config, Metrics())
    engine.start()
    intakes = [LogIntake(engine, stream, "m") for stream in ((), ("id",))]
    answering = [LogsOverHttp(intake, Metrics()) for intake in intakes]
    texts = ["json", "text", "m", "id", "service.name", "", "session=0a admin: console closed"]
    texts += ["event.name", '{"id": "a", "text": "x", "ts": 1e18}', "[", "\0"]

    def answer(given: bytes) -> None:
        bits, data = (given[0], given[1:]) if given else (0, b"")
        if bits & _FILLED:
            message = filled(ExportLogsServiceRequest, atheris.FuzzedDataProvider(data), texts)
            whole = MessageToJson(message).encode() if bits & _JSON else message.SerializeToString()
            data = gzip.compress(whole) if bits & _PACKED else whole
        headers = Headers()
        headers["Content-Type"] = "application/json" if bits & _JSON else "application/x-protobuf"
        if bits & _PACKED:
            headers["Content-Encoding"] = "gzip"
        if bits & _CHUNKED and not bits & _FILLED:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(data))
        reply = answering[bits >> 7].answer(headers, Body(headers, BufferedReader(BytesIO(data))))
        assert reply.status in (200, 400, 413, 503), reply

    return answer
