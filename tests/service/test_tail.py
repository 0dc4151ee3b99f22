"""Of a log that grows every line is read once, whatever becomes of its name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from offscript.model.errors import LogError
from offscript.service import tail
from offscript.service.config import LINE_CHARACTERS
from offscript.service.tail import Followed, Tail, open_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "app.log"
    made.write_text("first\n")
    return made


def read(log: Followed) -> list[str]:
    return [line for _, line in log.lines()]


def followed(path: Path, say: Callable[[str], None] = pytest.fail) -> Followed:
    return Followed(path, [], say)


def test_what_is_written_to_a_log_after_it_was_renamed_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = followed(path)
    with path.open("a") as program:
        assert read(log) == ["first"]
        path.rename(path.with_suffix(".1"))
        program.write("renamed\n")
        program.flush()
        assert read(log) == ["renamed"]
        path.write_text("second\n")
        assert read(log) == []
        program.write("not told yet\ncut o")
        program.flush()
        assert read(log) == ["not told yet", "second"]
        program.write("ff")
    assert read(log) == []

    monkeypatch.setattr(tail, "_ROTATED_SECONDS", 0.0)

    assert read(log) == ["cut off"]
    assert len(log.tails) == 1


def test_a_log_that_gets_its_name_back_is_not_read_twice(path: Path) -> None:
    log, other = followed(path), path.with_suffix(".1")
    read(log)
    path.rename(other)
    path.write_text("second\n")
    read(log)
    assert read(log) == ["second"]

    path.unlink()
    other.rename(path)
    with path.open("a") as program:
        program.write("third\n")

    assert read(log) + read(log) == ["third"]


@pytest.mark.parametrize("written", ["a\n", "a line that is as long as what was there\n" * 9])
def test_a_log_that_is_emptied_is_read_from_its_beginning(path: Path, written: str) -> None:
    path.write_text("first\nsecond\n" * 3 + "cut")
    log = followed(path)
    assert len(read(log)) == 6

    path.write_text(written)

    assert read(log) == ["cut"]
    assert read(log) == written.splitlines()


def test_a_log_is_followed_through_many_rotations(path: Path) -> None:
    log = followed(path)
    seen = threading.Event()

    def rotate() -> None:
        for number in range(200):
            seen.wait(30)
            seen.clear()
            path.rename(path.with_suffix(f".{number}"))
            with path.open("a") as program:
                program.write(f"line {number}\n")

    program = threading.Thread(target=rotate)
    lines = read(log)
    program.start()
    seen.set()
    while program.is_alive() or len(lines) < 201:
        new = read(log)
        lines += new
        if new:
            seen.set()
    program.join()

    assert lines == ["first", *(f"line {number}" for number in range(200))]


def test_what_lies_in_the_place_of_a_log_is_said_once(path: Path) -> None:
    said: list[str] = []
    log = followed(path, said.append)
    read(log)
    path.rename(path.with_suffix(".1"))
    path.mkdir()

    assert read(log) + read(log) == []
    assert said == [
        f"cannot follow {path}: expected a file; a pipe is sent as standard input, -; trying again"
    ]
    path.rmdir()
    path.write_text("second\n")
    assert read(log) + read(log) == ["second"]


def test_of_a_line_without_end_only_the_beginning_is_kept(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000)
    one = Tail(path, open_log(path))

    assert list(one.lines()) == []
    assert len(one._rest) == 4 * LINE_CHARACTERS
    with path.open("a") as program:
        program.write("\nnext\n")
    assert [len(line) for line in one.lines()] == [4 * LINE_CHARACTERS, 4]
    assert one.offset == 3_000_006
    one.close()


def test_what_cannot_be_followed_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for name, said in {"pipe": "expected a file", "none": "No such file"}.items():
        with pytest.raises(LogError, match=f"cannot follow .*{name}: {said}"):
            followed(tmp_path / name)
