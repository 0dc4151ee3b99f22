"""The body of an HTTP request: read in pieces, unpacked, and never larger than it may be."""

from __future__ import annotations

import gzip
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from functools import partial
from io import BufferedIOBase, BytesIO

from ..model.errors import InputError, OverloadError
from .errors import MediaError, TooLargeError

_PIECE = 1 << 16
_SECONDS = 60.0  # that a body may take to come
_LINE = 1024  # of what frames a chunk
_RETRY_SECONDS = 1.0

Take = Callable[[int], None]


class Room:
    """Memory for the bodies of all requests together, in bytes."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Take]:
        """A function that takes some; all of it is given back in the end."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            with self._lock:
                if self._free < size:
                    raise OverloadError(
                        "too many requests are read at once; send this one again later",
                        retry_seconds=_RETRY_SECONDS,
                    )
                self._free -= size
            taken += size

        try:
            yield take
        finally:
            with self._lock:
                self._free += taken


class Body:
    """A body that is on its way. `whole` says that it came to its end."""

    def __init__(self, headers: Message, source: BufferedIOBase) -> None:
        self._headers = headers
        self._source = source
        self._deadline = time.monotonic() + _SECONDS
        self._pieces = self._read()
        self.whole = False

    def read(self, take: Take, *, most: int) -> bytes:
        """All of it, unpacked; TooLargeError if it has more than `most` bytes packed or not."""
        encoding = self._headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise MediaError(f"expected Content-Encoding gzip or none, got {encoding[:64]!r}")
        data = _collect(self._pieces, take, most)
        if encoding == "identity":
            return data
        try:
            with gzip.GzipFile(fileobj=BytesIO(data)) as file:
                return _collect(iter(partial(file.read, _PIECE), b""), take, most)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"expected a body packed by gzip, got another: {error}") from error

    def pass_over(self, most: int) -> None:
        """Take in what is left, so that a sender who is still at it comes to hear the answer."""
        with suppress(InputError):  # said already, or of no use to one who has left
            for piece in self._pieces:
                most -= len(piece)
                if most < 0:
                    return

    def _read(self) -> Iterator[bytes]:
        coding = self._headers.get("Transfer-Encoding")
        lengths = self._headers.get_all("Content-Length", [])
        if coding is None:
            if len(lengths) > 1 or not all(re.fullmatch(r"[0-9]{1,18}", text) for text in lengths):
                raise InputError(
                    f"expected one Content-Length, a number of bytes, got {lengths!r:.64}"
                )
            yield from self._bytes(int(lengths[0]) if lengths else 0)
        elif lengths or coding.strip().lower() != "chunked":
            raise InputError("expected a Content-Length or Transfer-Encoding: chunked")
        else:
            while size := self._chunk_size():
                yield from self._bytes(size)
                self._line()
            while self._line():
                """Trailers say nothing that we need."""
        self.whole = True

    def _bytes(self, size: int) -> Iterator[bytes]:
        while size:
            if time.monotonic() > self._deadline:
                raise TimeoutError("a body that comes too slowly")
            piece = self._source.read1(min(size, _PIECE))
            if not piece:
                raise InputError(f"expected {size:,} more bytes of the body, got its end")
            size -= len(piece)
            yield piece

    def _chunk_size(self) -> int:
        found = re.fullmatch(rb"([0-9A-Fa-f]{1,8})[ \t]*(;.*)?", self._line())
        if found is None:
            raise InputError("expected the size of a chunk in hexadecimal, got something else")
        return int(found[1], 16)

    def _line(self) -> bytes:
        if time.monotonic() > self._deadline:
            raise TimeoutError("a body that comes too slowly")
        line = self._source.readline(_LINE)
        if not line.endswith(b"\n"):
            raise InputError("expected the end of a line in a chunked body, got something else")
        return line.rstrip(b"\r\n")


def _collect(pieces: Iterator[bytes], take: Take, most: int) -> bytes:
    data = bytearray()
    for piece in pieces:
        if len(data) + len(piece) > most:
            raise TooLargeError(f"expected at most {most:,} bytes, got more; send fewer at a time")
        take(len(piece))
        data += piece
    return bytes(data)
