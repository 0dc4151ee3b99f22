"""Bodies of HTTP requests: whole in any framing, bounded, refused when they are none."""

from __future__ import annotations

import gzip
from email.message import Message
from io import BufferedReader, BytesIO
from typing import TYPE_CHECKING

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from offscript.model.errors import InputError, OverloadError
from offscript.service import body as body_module
from offscript.service.body import Body, Room
from offscript.service.config import LOGS_BYTES
from offscript.service.errors import MediaError, TooLargeError
from offscript.tests.service.otlp_requests import export, record, request

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

MOST = 1000


def body(data: bytes, **headers: str) -> Body:
    message = Message()
    for name, text in headers.items():
        message[name.replace("_", "-")] = text
    return Body(message, BufferedReader(BytesIO(data)))


def read(data: bytes, **headers: str) -> bytes:
    with Room(10 * MOST).share() as take:
        return body(data, **headers).read(take, most=MOST)


def sized(data: bytes, **headers: str) -> bytes:
    return read(data, Content_Length=str(len(data)), **headers)


def chunked(data: bytes, **headers: str) -> bytes:
    return read(data, Transfer_Encoding="chunked", **headers)


def test_a_body_is_as_long_as_it_says() -> None:
    assert read(b"hello, and more", Content_Length="5") == b"hello"
    assert read(b"more") == b""


def test_chunks_are_put_together() -> None:
    assert chunked(
        b"5\r\nhello\r\n2;name=x\r\n, \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    ) == (b"hello, 0123456789")


def test_a_packed_body_is_unpacked_in_all_its_members() -> None:
    assert sized(gzip.compress(b"a" * 500) + gzip.compress(b"b"), Content_Encoding="GZIP") == (
        b"a" * 500 + b"b"
    )
    assert sized(b"plain", Content_Encoding="identity") == b"plain"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "-1"},
        {"Content_Length": "1e3"},
        {"Content_Length": "٣"},
        {"Transfer_Encoding": "gzip"},
        {"Transfer_Encoding": "chunked", "Content_Length": "5"},
    ],
)
def test_a_framing_that_can_be_read_in_two_ways_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InputError, match="expected .*Content-Length"):
        read(b"hello", **headers)


@pytest.mark.parametrize("data", [b"", b"5\r\nhel", b"5\r\nhello\r\n", b"x\r\n", b"5" * 2000])
def test_chunks_that_are_cut_or_none_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="expected"):
        chunked(data)


def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(InputError, match="expected 5 more bytes"):
        read(b"hello", Content_Length="10")


PACKED = gzip.compress(b"hello" * 50, mtime=0)  # the bytes are in the names of tests


@pytest.mark.parametrize(
    "data", [b"hello", PACKED[:-1], PACKED[:12], PACKED[:-8] + bytes(8), b"\x1f"]
)
def test_a_body_that_is_not_packed_as_it_says_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="gzip"):
        sized(data, Content_Encoding="gzip")


def test_other_encodings_are_refused_as_that() -> None:
    with pytest.raises(MediaError, match="'br'"):
        sized(b"hello", Content_Encoding="br")


def test_no_body_is_larger_than_the_limit_before_it_is_unpacked_or_after() -> None:
    assert len(sized(bytes(MOST))) == len(
        sized(gzip.compress(bytes(MOST)), Content_Encoding="gzip")
    )
    bomb = gzip.compress(bytes(MOST * 1000))
    assert len(bomb) > MOST
    for data in (gzip.compress(bytes(MOST + 1)), bomb):
        with pytest.raises(TooLargeError, match="at most 1,000 bytes"):
            sized(data, Content_Encoding="gzip")
    with pytest.raises(TooLargeError):
        sized(bytes(MOST + 1))
    with pytest.raises(TooLargeError):
        chunked(b"3E9\r\n" + bytes(MOST + 1) + b"\r\n0\r\n\r\n")


def test_a_bomb_is_not_unpacked_past_the_limit() -> None:
    taken: list[int] = []
    data = gzip.compress(bytes(10 << 20))
    with pytest.raises(TooLargeError):
        body(data, Content_Length=str(len(data)), Content_Encoding="gzip").read(
            taken.append, most=100_000
        )

    assert sum(taken) <= len(data) + 100_000


def test_all_bodies_together_have_bounded_room_which_they_give_back() -> None:
    room = Room(MOST)
    with room.share() as take, room.share() as other:
        take(600)
        with pytest.raises(OverloadError, match="at once"):
            other(600)
        other(400)
    with room.share() as take:
        take(MOST)


def test_a_body_that_comes_too_slowly_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_SECONDS", -1.0)
    for headers in ({"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}):
        with pytest.raises(TimeoutError):
            read(b"5\r\nhello\r\n0\r\n\r\n", **headers)


def test_what_is_left_of_a_body_can_be_passed_over_within_bounds() -> None:
    sent = body(bytes(100_000), Content_Length="100000")
    with pytest.raises(TooLargeError), Room(MOST).share() as take:
        sent.read(take, most=MOST)
    assert not sent.whole
    sent.pass_over(10)
    assert not sent.whole

    short = body(b"hello", Content_Length="5")
    short.pass_over(10)
    assert short.whole


def test_where_too_much_is_read_at_once_senders_come_again(
    running: Running, channel: grpc.Channel
) -> None:
    intake = running.server._servicer._intake
    one = request([record("session=0a hi")])
    with intake.share() as take:
        take(4 * LOGS_BYTES - one.ByteSize() + 1)
        with pytest.raises(grpc.RpcError, match="too many requests are read at once") as caught:
            export(channel, one)

    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    with intake.share() as take:
        take(4 * LOGS_BYTES - one.ByteSize())
        assert export(channel, one) == ExportLogsServiceResponse()
