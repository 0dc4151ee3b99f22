"""OTLP over HTTP: POST /v1/logs, in protobuf or JSON, answered in the same."""

from __future__ import annotations

import time
from email.message import Message as Headers

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from .body import Body
from .config import LOGS_BYTES
from .errors import MediaError, to_http, to_status
from .http import Reply
from .intake import LogIntake
from .metrics import Metrics

LOGS_PATH = "/v1/logs"

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"


class LogsOverHttp:
    """Answers for one intake, on the thread of each request."""

    def __init__(self, intake: LogIntake, metrics: Metrics) -> None:
        self._intake = intake
        self._metrics = metrics

    def answer(self, headers: Headers, body: Body) -> Reply:
        """The answer to one request; what is wrong with it is a google.rpc.Status."""
        start = time.perf_counter()
        kind = headers.get_content_type()
        message: Message
        try:
            status, more, message = 200, dict[str, str](), self._export(kind, body)
        except (ConnectionError, TimeoutError):
            raise  # nobody is there to be answered
        except Exception as error:  # noqa: BLE001 - told apart in one place
            (status, more), message = to_http(error), to_status(error)
        seconds = time.perf_counter() - start
        self._metrics.rpc_seconds.labels(f"POST {LOGS_PATH}", str(status)).observe(seconds)
        if kind == _PROTOBUF:
            return Reply(status, _PROTOBUF, message.SerializeToString(), more)
        return Reply(status, _JSON, MessageToJson(message, indent=None).encode(), more)

    def _export(self, kind: str, body: Body) -> Message:
        if kind not in (_PROTOBUF, _JSON):
            raise MediaError(f"expected Content-Type {_PROTOBUF} or {_JSON}, got {kind[:64]!r}")
        with self._intake.share() as take:
            data = body.read(take, most=LOGS_BYTES)
            answer = self._intake.take(data, as_json=kind == _JSON)
        return self._intake.wait(answer)
