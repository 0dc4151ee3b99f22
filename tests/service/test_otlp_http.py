"""POST /v1/logs: protobuf and JSON, packed and plain, and what each mistake is answered."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # it ships none
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from offscript.model.errors import OverloadError
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.batch import Batch, Outcome
from offscript.service.config import LOGS_BYTES
from offscript.tests.service.otlp_requests import export, record, request

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Lines = Callable[..., list[str]]
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}


class Sender:
    """One connection, kept alive as senders do."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def post(
        self, data: Any, headers: dict[str, str], path: str = "/v1/logs"
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self.connection.request("POST", path, data, headers)
        response = self.connection.getresponse()
        return response, response.read()


@pytest.fixture
def sender(running: Running) -> Iterator[Sender]:
    opened = Sender(running.server.http_port)
    yield opened
    opened.connection.close()


def records(lines: list[str]) -> ExportLogsServiceRequest:
    return request([record(line, second=n) for n, line in enumerate(lines)])


def as_json(message: ExportLogsServiceRequest) -> bytes:
    whole = MessageToDict(message)
    logs = whole["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    for log in logs:  # as OTLP has them, which protobuf's own JSON has not
        log |= {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174"}
        log |= {"severityNumber": 9, "aFieldOfTomorrow": {"x": 1}}
    return json.dumps(whole).encode()


def alerts(stub: DetectorStub, stream: str) -> list[tuple[str, str, int, int]]:
    listed = stub.ListAlerts(pb.ListAlertsRequest(stream=stream)).alerts
    return sorted((one.detector, one.observed, one.count, one.time_micros) for one in listed)


def test_json_and_protobuf_plain_and_packed_raise_the_same_alerts(
    sender: Sender, stub: DetectorStub, channel: grpc.Channel, session: Lines
) -> None:
    export(channel, records(session("0a", odd=True)))
    wanted = alerts(stub, "0a")
    for stream, kind in (("0b", PROTOBUF), ("0c", JSON)):
        whole = records(session(stream, odd=True))
        data = whole.SerializeToString() if kind is PROTOBUF else as_json(whole)
        response, answer = sender.post(gzip.compress(data), kind | GZIP)
        assert response.status == 200
        assert response.headers["Content-Type"] == kind["Content-Type"]
        assert answer == (b"" if kind is PROTOBUF else b"{}")

    assert alerts(stub, "0b") == alerts(stub, "0c") == wanted != []


def test_a_body_in_chunks_is_taken(sender: Sender, stub: DetectorStub, session: Lines) -> None:
    data = records(session("0a", odd=True)).SerializeToString()
    response, _ = sender.post((data[at : at + 7] for at in range(0, len(data), 7)), PROTOBUF)

    assert response.status == 200
    assert alerts(stub, "0a")


def test_what_cannot_be_scored_is_said_in_the_answer(sender: Sender, session: Lines) -> None:
    data = records([*session("0a"), "no key"])
    _, answer = sender.post(data.SerializeToString(), PROTOBUF)
    _, json_answer = sender.post(
        as_json(data), JSON | {"Content-Type": "application/json; charset=utf-8"}
    )

    partial = ExportLogsServiceResponse.FromString(answer).partial_success
    assert partial.rejected_log_records == 1
    assert json.loads(json_answer) == {
        "partialSuccess": {"rejectedLogRecords": "1", "errorMessage": partial.error_message}
    }


def test_halves_of_characters_in_json_are_question_marks(
    sender: Sender, stub: DetectorStub, session: Lines
) -> None:
    data = as_json(records(session("0a", odd=True)))
    data = data.replace(b"kernel:", rb"\ud83d\ude00 \ud83d kernel:").replace(
        b"{", rb'{"\udead": 1,', 1
    )

    assert sender.post(data, JSON)[0].status == 200
    texts = {alert.text for alert in stub.ListAlerts(pb.ListAlertsRequest(stream="0a")).alerts}
    assert any("\N{GRINNING FACE} ? kernel:" in text for text in texts)


def test_an_empty_request_succeeds(sender: Sender) -> None:
    assert sender.post(b"", PROTOBUF)[0].status == 200
    assert sender.post(b"{}", JSON)[0].status == 200
    assert sender.post(b'{"resourceLogs": []}', JSON)[0].status == 200


MISTAKES: list[tuple[dict[str, str], bytes, int, str]] = [
    (PROTOBUF, b"\xff\xff", 400, "ExportLogsServiceRequest"),
    (JSON, b"{", 400, "as JSON"),
    (JSON, b"", 400, "as JSON"),
    (JSON, b"[]", 400, "as JSON"),
    (JSON, b"7", 400, "as JSON"),
    (JSON, b"null", 400, "as JSON"),
    (JSON, b"\xff", 400, "as JSON"),
    (JSON, b'{"resourceLogs": 7}', 400, "as JSON"),
    (JSON, b'{"resourceLogs": [null]}', 400, "as JSON"),
    (JSON, b"[" * 100_000, 400, "as JSON"),
    (PROTOBUF | GZIP, b"plain", 400, "packed by gzip"),
    (PROTOBUF | GZIP, gzip.compress(b"cut")[:-3], 400, "packed by gzip"),
    (PROTOBUF | {"Content-Encoding": "zstd"}, b"", 415, "'zstd'"),
    ({"Content-Type": "text/plain"}, b"", 415, "'text/plain'"),
    ({}, b"", 415, "application/x-protobuf or application/json"),
    (PROTOBUF | GZIP, gzip.compress(bytes(LOGS_BYTES + 1)), 413, "at most 20,971,520 bytes"),
    (JSON | GZIP, gzip.compress(b" " * (1 << 26), 9), 413, "at most 20,971,520 bytes"),
    (PROTOBUF, bytes(LOGS_BYTES + 100_000), 413, "at most 20,971,520 bytes"),
]


def test_a_mistake_is_a_status_in_the_encoding_of_the_request(sender: Sender) -> None:
    for headers, data, status, said in MISTAKES:
        response, answer = sender.post(data, headers)

        assert response.status == status, answer
        assert "Retry-After" not in response.headers
        if headers.get("Content-Type") == "application/x-protobuf":
            assert response.headers["Content-Type"] == "application/x-protobuf"
            message = status_pb2.Status.FromString(answer)
            assert said in message.message
            bad = error_details_pb2.BadRequest()
            assert any(detail.Unpack(bad) for detail in message.details)
        else:
            assert response.headers["Content-Type"] == "application/json"
            assert said in json.loads(answer)["message"]
    assert sender.post(b"", PROTOBUF)[0].status == 200  # the service lives


def test_other_paths_and_methods_are_refused(sender: Sender) -> None:
    assert sender.post(b"x" * 100, PROTOBUF, path="/v1/traces")[0].status == 404
    response, _ = sender.post(b"x" * 100, PROTOBUF, path="/metrics")
    assert (response.status, response.headers["Allow"]) == (405, "GET")
    sender.connection.request("GET", "/v1/logs")
    response = sender.connection.getresponse()
    response.read()
    assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_a_full_queue_says_when_to_come_again(
    running: Running, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OverloadError("20 events wait to be scored", retry_seconds=1.2)

    with monkeypatch.context() as patch:
        patch.setattr(running.server._engine, "submit_all", full)
        response, answer = sender.post(records(["session=0a hi"]).SerializeToString(), PROTOBUF)

    assert response.status == 503
    assert response.headers["Retry-After"] == "2"
    assert "wait to be scored" in status_pb2.Status.FromString(answer).message
    assert sender.post(b"", PROTOBUF)[0].status == 200


def test_a_failure_of_ours_says_nothing_of_its_inside(
    running: Running,
    sender: Sender,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(running.server._engine, "submit_all", fails)
    response, answer = sender.post(as_json(records(["session=0a hi"])), JSON)

    assert response.status == 500
    assert b"secret" not in answer
    assert "a secret of the inside" in caplog.text


def test_garbage_never_fails_the_service(sender: Sender, session: Lines) -> None:
    rng = random.Random(11)
    whole = as_json(records(session("0a")))
    statuses = Counter[int]()
    for _ in range(100):
        spoiled = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            spoiled[rng.randrange(len(spoiled))] = rng.choice(b'{}[]":,09xnull\\\xff')
        statuses[sender.post(bytes(spoiled), JSON)[0].status] += 1

    assert set(statuses) == {200, 400}


def test_one_who_goes_away_in_the_middle_harms_nobody_and_leaves_no_trace(
    running: Running, sender: Sender, capfd: pytest.CaptureFixture[str]
) -> None:
    for head in (b"Content-Length: 30000000", b"Transfer-Encoding: chunked"):
        for reset in (False, True):
            with socket.create_connection(("127.0.0.1", running.server.http_port)) as cut:
                cut.sendall(b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\n" + head)
                cut.sendall(b"\r\n\r\n5\r\nhe")
                linger = struct.pack("ii", reset, 0)  # with which a close is a reset
                cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    for _ in range(20):
        assert sender.post(b"{}", JSON)[0].status == 200

    assert "Traceback" not in capfd.readouterr().err


def test_many_post_at_once(running: Running, stub: DetectorStub, session: Lines) -> None:
    def send(number: int) -> list[int]:
        opened = Sender(running.server.http_port)
        statuses = []
        for n in range(5):
            whole = records(session(f"{number:02x}{n}", odd=n == 0))
            kind = JSON if number % 2 else PROTOBUF
            data = as_json(whole) if number % 2 else whole.SerializeToString()
            statuses.append(opened.post(gzip.compress(data), kind | GZIP)[0].status)
        opened.connection.close()
        return statuses

    with ThreadPoolExecutor(16) as pool:
        statuses = [status for each in pool.map(send, range(16)) for status in each]

    assert statuses == [200] * 80
    listed = stub.ListAlerts(pb.ListAlertsRequest(page_size=1000)).alerts
    assert {alert.stream for alert in listed} == {f"{n:02x}0" for n in range(16)}


def test_what_was_posted_is_answered_before_the_service_ends(
    running: Running, session: Lines
) -> None:
    def send(number: int) -> int:
        opened = Sender(running.server.http_port)
        status = opened.post(records(session(f"{number}")).SerializeToString(), PROTOBUF)[0].status
        opened.connection.close()
        return status

    submitted = Event()
    submit = running.server._engine.submit_all

    def submit_and_say_so(batches: Sequence[Batch]) -> list[Future[Outcome]]:
        future = submit(batches)
        submitted.set()
        return future

    with ThreadPoolExecutor(8) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.server._engine, "submit_all", submit_and_say_so)
        sent = [pool.submit(send, number) for number in range(8)]
        submitted.wait(20)
        running.stop()
        statuses = {each.result() for each in sent if each.exception() is None}

    assert 200 in statuses
    assert statuses <= {200, 503}


def test_requests_and_records_are_among_the_metrics(
    running: Running, sender: Sender, session: Lines
) -> None:
    sender.post(records([*session("0a"), "", "no key"]).SerializeToString(), PROTOBUF)
    sender.post(b"{", JSON)
    text = running.server._metrics.text().decode()

    for line in (
        'offscript_rpc_seconds_count{code="200",method="POST /v1/logs"} 1.0',
        'offscript_rpc_seconds_count{code="400",method="POST /v1/logs"} 1.0',
        'offscript_events_total{model="",outcome="scored"} 5.0',
        'offscript_events_total{model="",outcome="unkeyed"} 1.0',
        'offscript_events_total{model="",outcome="broken"} 1.0',
    ):
        assert line in text
