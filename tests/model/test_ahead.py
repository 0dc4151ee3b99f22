"""Lines read by other processes come as if they were read here."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from offscript.model.ahead import parsed
from offscript.model.errors import OffscriptError
from offscript.model.event import EventConfig, EventParser
from offscript.model.templates import Templates

Line = Callable[[int], str]  # number of a line → its time stamp


def parser(time: str) -> EventParser:
    config = EventConfig(stream_key=r"job=(\w+)", time=time)
    texts = ["job=<*> begins", "job=<*> ends"]
    return EventParser(config, Templates.learn(texts))


def chunks(count: int, line: Line) -> Iterator[list[str]]:
    for number in range(count):
        first = 3 * number
        yield [f"{line(first)} job=a{number} begins", "  and goes on", f"{line(first + 2)} no job"]


def iso(number: int) -> str:
    return f"2026-03-01 10:00:{number % 60:02d}"


def year_end(number: int) -> str:
    """Four days after the line before, which alone says what year it is."""
    return str(np.datetime64("2022-01-01") + 4 * number)[5:10] + " 10:00:00"


@pytest.mark.parametrize(("time", "line"), [("iso@0", iso), ("month_day@0", year_end)])
def test_what_other_processes_read_is_what_is_read_here(time: str, line: Line) -> None:
    here = list(parsed(parser(time), chunks(200, line), processes=0))
    there = list(parsed(parser(time), chunks(200, line), processes=2))

    assert [chunk for chunk, _ in there] == [chunk for chunk, _ in here]
    for (_, one), (_, other) in zip(here, there, strict=True):
        assert list(one.stream) == list(other.stream) != []
        assert list(one.name) == list(other.name)
        assert one.time.tolist() == other.time.tolist()
        assert one.line.tolist() == other.line.tolist()
        assert (one.unkeyed, one.continuations) == (other.unkeyed, other.continuations) == (1, 1)


def test_a_short_log_starts_no_process() -> None:
    others = multiprocessing.active_children()  # a training leaves some behind for a while
    for _ in parsed(parser("iso@0"), chunks(8, iso), processes=2):
        assert set(multiprocessing.active_children()) <= set(others)


def test_who_stops_listening_leaves_no_process_behind() -> None:
    others = multiprocessing.active_children()
    found = parsed(parser("iso@0"), chunks(10_000, iso), processes=1)
    for _ in range(9):
        next(found)
    assert set(multiprocessing.active_children()) - set(others)

    found.close()

    assert set(multiprocessing.active_children()) <= set(others)


def test_who_is_killed_leaves_no_process_behind() -> None:
    script = (
        "from offscript.tests.model.test_ahead import *\n"
        "found = parsed(parser('iso@0'), chunks(10_000, iso), processes=2)\n"
        "for _ in range(9): next(found)\n"
        "print(len(multiprocessing.active_children()), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0

        process.kill()

        process.communicate(timeout=60)  # its output ends when none of them holds it any more


def test_a_process_that_is_killed_is_told_in_one_line() -> None:
    others = multiprocessing.active_children()  # of a training, as above
    found = parsed(parser("iso@0"), chunks(10_000, iso), processes=1)
    for _ in range(9):
        next(found)
    for child in set(multiprocessing.active_children()) - set(others):
        child.kill()

    with pytest.raises(OffscriptError, match="killed; is there enough memory"):
        list(found)
