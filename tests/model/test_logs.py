"""Logs: every kind of file is read, or refused in one clear line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from offscript.model.errors import LogError
from offscript.model.logs import detect_format, read_lines

LINES = [f"line {i} of the log" for i in range(1000)]
TEXT = "".join(line + "\n" for line in LINES).encode()


def written(folder: Path, content: bytes) -> Path:
    path = folder / "app.log"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_compression_is_told_by_content(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, compress(TEXT))

    assert list(read_lines([path])) == LINES


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1\n2")
    second.write_text("3\n")

    assert list(read_lines([first, second])) == ["1", "2", "3"]


def test_standard_input_is_a_hyphen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written(tmp_path, gzip.compress(b"a\nb\n")).open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)

        assert list(read_lines([Path("-")])) == ["a", "b"]
        assert not stdin.closed


def test_progress_adds_up_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(TEXT))
    read: list[int] = []

    list(read_lines([path], progress=read.append))

    assert sum(read) == path.stat().st_size


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        ("zwölf\nb".encode("utf-16"), ["zwölf", "b"]),
        ("zwölf\n".encode("latin-1"), ["zw\ufffdlf"]),
        (b"\0" * 100 + b"after a hole\n", ["after a hole"]),
        (b"a\n" * 5000 + b"b\0c\n", ["a"] * 5000 + ["bc"]),
        (b"x" * 1_000_000 + b"\ny", ["x" * 1_000_000, "y"]),
        (b"\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
        (b"BZhello\n", ["BZhello"]),
    ],
    ids=["crlf", "bom", "utf-16", "latin-1", "hole", "nul", "long", "colours", "not-bzip2"],
)
def test_odd_text_is_read(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    assert list(read_lines([written(tmp_path, content)])) == lines


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (lzma.compress(b""), "is empty"),
        (random.Random(1).randbytes(5000), "is binary"),
        (b"\0" * 1000, "is binary"),
        (gzip.compress(TEXT)[:-9], "is cut off or damaged"),
        (lzma.compress(TEXT)[:-50], "is cut off or damaged"),
        (bz2.compress(TEXT)[:-9], "is cut off or damaged"),
        (b"\x1f\x8b and no more of it", "is cut off or damaged"),
    ],
)
def test_a_file_that_is_no_log_is_refused_in_one_line(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = written(tmp_path, content)

    with pytest.raises(LogError, match=complaint) as error:
        list(read_lines([path]))

    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_what_stands_before_the_damage_is_read(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    text = "".join(f"line {number} {number * number}\n" for number in range(100_000))
    whole = compress(text.encode())
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) * 9 // 10])
    read: list[str] = []

    with pytest.raises(LogError, match="is cut off or damaged"):
        for line in read_lines([path]):
            read.append(line)  # noqa: PERF402 - what was read before the error counts

    assert len(read) > 0.6 * 100_000
    assert read == text.splitlines()[: len(read)]


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there is no such file"):
        list(read_lines([tmp_path / "nothing.log"]))
    with pytest.raises(LogError, match="is a folder"):
        list(read_lines([tmp_path]))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python 3.14 reads zstd")
def test_zstd_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(20))

    with pytest.raises(LogError, match="zstd -dc"):
        list(read_lines([path]))


def test_the_format_is_what_most_lines_are() -> None:
    record, sequence = '{"event": "login"}', '{"id": 1, "events": ["a", "b"]}'

    assert detect_format(["12:00:00 started", "", "{ not json"]) == "text"
    assert detect_format([record, record, "cut {off"]) == "json"
    assert detect_format([sequence, sequence]) == "sequences"
    assert detect_format([]) == "text"
