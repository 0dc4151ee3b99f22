"""Log files, compressed or not, and standard input, as lines of text."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

from .errors import LogError

STANDARD_INPUT = Path("-")

_BLOCK = 1 << 20
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_HEAD = 1 << 16  # bytes by which text is told from binary data
_MOST_STRANGE = 0.1  # share of control characters in a text
_MOST_NUL = 0.001
_TEXT = bytes(code for code in range(32, 256) if code != 127) + b"\t\n\r\f\v\b\x1b"


class _Piecewise(io.RawIOBase):
    """A stream of bytes that hands on what there is, and reports how many bytes that were.

    It does not wait for more to fill a buffer: a pipe from `tail -f` never fills one, and what
    stands before the damage of a compressed file would be lost with it.
    """

    def __init__(self, source: Any, progress: Callable[[int], None] | None) -> None:
        # Files and decompressors share no type that has read1.
        self._source, self._progress = source, progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data: bytes = self._source.read1(len(view))
        view[: len(data)] = data
        if self._progress and data:
            self._progress(len(data))
        return len(data)


def _decompressed(kind: str, source: Any) -> io.BufferedIOBase:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=source)
    if kind == "bzip2":
        return bz2.BZ2File(source)
    if kind == "xz":
        return lzma.LZMAFile(source)
    try:
        zstd = import_module("compression.zstd")
    except ImportError:
        raise LogError(
            "is compressed with zstd, which this Python cannot read (3.14 can); decompress it, or "
            "pipe it in as in: zstd -dc FILE | offscript score MODEL -"
        ) from None
    return cast("io.BufferedIOBase", zstd.ZstdFile(source))


def _encoding(head: bytes) -> str:
    """The encoding of a text that begins like this; LogError when it is no text."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    # A log that was cut while it was written to begins with a hole, which reads as NULs.
    text = head.strip(b"\0")
    strange = len(text.translate(None, _TEXT))
    if not text or text.count(b"\0") > _MOST_NUL * len(text) or strange > _MOST_STRANGE * len(text):
        raise LogError("is binary; expected text, one record a line")
    return "utf-8"


def _lines(source: IO[bytes], progress: Callable[[int], None] | None) -> Iterator[str]:
    stream: io.BufferedReader[Any] = io.BufferedReader(_Piecewise(source, progress), _BLOCK)
    start = stream.peek(8)
    for kind, magic in _MAGIC.items():
        if magic.match(start):
            stream = io.BufferedReader(_Piecewise(_decompressed(kind, stream), None), _BLOCK)
            break
    head = stream.peek(_HEAD)[:_HEAD]
    if not head:
        return
    for line in io.TextIOWrapper(stream, encoding=_encoding(head), errors="replace"):
        yield line.rstrip("\n").replace("\0", "")


def read_lines(
    paths: Sequence[Path], *, progress: Callable[[int], None] | None = None
) -> Iterator[str]:
    """The lines of logs, one file after the other, without their ends.

    Compression is told by the first bytes (gzip, bzip2, xz; zstd where Python can), not by the
    name. What is no UTF-8 is replaced. `-` is standard input. `progress` is called with the number
    of bytes read from disk since the last call.

    Raises LogError, one line, for what is missing, a folder, empty, binary or cut off.
    """
    for path in paths:
        name = "standard input" if path == STANDARD_INPUT else str(path)
        empty = True
        try:
            source = sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb")
            with nullcontext() if path == STANDARD_INPUT else source:
                for line in _lines(source, progress):
                    empty = False
                    yield line
        except LogError as error:
            raise LogError(f"{name}: {error}") from None
        except FileNotFoundError:
            raise LogError(f"{name}: there is no such file") from None
        except IsADirectoryError:
            raise LogError(
                f"{name}: is a folder; name the files in it, as in {name}/*.log"
            ) from None
        except PermissionError:
            raise LogError(f"{name}: may not be read by this user") from None
        except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
            raise LogError(f"{name}: is cut off or damaged ({error}); copy it again") from None
        if empty:
            raise LogError(f"{name}: is empty; expected a log, one record a line")


def detect_format(sample: list[str]) -> str:
    """`sequences`, `json` or `text`: what most of the lines are."""
    objects = sequences = lines = 0
    for line in sample:
        text = line.strip()
        lines += bool(text)
        if not text.startswith("{"):
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        objects += 1
        sequences += isinstance(value.get("events"), list) and "id" in value
    if 2 * sequences > lines:
        return "sequences"
    if 2 * objects > lines:
        return "json"
    return "text"
