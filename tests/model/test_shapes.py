"""Lines like others before are read in one pass, and come out as they do step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model import shapes
from offscript.model.event import EventConfig, EventParser, Parsed
from offscript.model.keys import steps_of
from offscript.model.logs import read_lines
from offscript.model.shapes import Shapes
from offscript.model.templates import Templates

POSTGRES = EventConfig(stream_key=r"\[([0-9a-f]+\.[0-9a-f]+)\]", time="iso@0")
HDFS = EventConfig(stream_key=r"blk_-?\d+", time="hdfs@0")
BLOCKS = [
    f"0811{10 + i // 60:02} 2036{i % 60:02} 148 INFO DataNode: {what} blk_{i % 7} from /10.0.0.{i}"
    for i, what in enumerate(["Receiving block", "Received block", "Deleting"] * 40)
]
RECORDING = Path(__file__).parents[2] / "examples" / "postgres"


def as_columns(events: Parsed) -> tuple[object, ...]:
    """All that was read, in a form that can be compared."""
    times = [None if np.isnan(time) else time for time in events.time.tolist()]
    passed_over = events.unkeyed, events.continuations, events.broken
    return events.line.tolist(), list(events.stream), list(events.name), times, *passed_over


def step_by_step(config: EventConfig) -> EventConfig:
    """The same log, with a mask that masks nothing: such lines are not read in one pass."""
    return replace(config, masks=(("(?!)", ""),))


def compare(config: EventConfig, lines: Sequence[str], size: int) -> None:
    """Read lines in pieces in both ways, with templates of every second one."""
    texts = EventParser(config, Templates(())).texts(lines[::2])
    templates = Templates.learn(texts)
    ours = EventParser(config, templates)
    other = EventParser(step_by_step(config), templates)
    for at in range(0, len(lines), size):
        piece = lines[at : at + size]
        assert as_columns(ours.parse(piece)) == as_columns(other.parse(piece))


def odd(lines: Sequence[str]) -> list[str]:
    """Lines to each of which something was done that changes how it must be read."""
    rng = np.random.default_rng(0)
    kinds: list[Callable[[str], str]] = [
        lambda line: line,
        lambda line: line[:0],
        lambda line: line[:0] + "  \t ",
        lambda line: f"\t{line}",
        lambda line: f"  {line}  ",
        lambda line: line + " é",
        lambda line: line.replace(" ", "\x01"),
        lambda line: line + "\n" + line,
        lambda line: line + "\x1c\r",
        lambda line: line[: int(rng.integers(len(line) + 1))],
        lambda line: line[int(rng.integers(len(line) + 1)) :],
        lambda line: line + " blk_9 [6b.1] blk_9",
        lambda line: line + " " + "long " * 300,
        lambda line: line + "\x7f?<*>",
        lambda line: "".join(rng.permutation(list(line))),
    ]
    return [kinds[int(rng.integers(len(kinds)))](line) for line in lines]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_are_read_as_they_are_step_by_step(size: int) -> None:
    compare(HDFS, BLOCKS, size)
    compare(HDFS, odd(BLOCKS * 5), size)
    compare(replace(HDFS, stream_key=None), odd(BLOCKS), size)
    compare(replace(HDFS, time=None), odd(BLOCKS), size)
    compare(replace(HDFS, stream_key=None, time=None), odd(BLOCKS), size)
    compare(replace(HDFS, stream_key=r"(x*)blk_\d"), odd(BLOCKS), size)


def test_lines_of_the_recording_are_read_as_they_are_step_by_step() -> None:
    lines = list(read_lines(sorted(RECORDING.glob("*.log*"))[:1]))[:3000]

    assert len(lines) == 3000
    compare(POSTGRES, lines, 512)
    compare(POSTGRES, odd(lines), 512)


def test_a_line_of_nothing_but_keys_is_read_as_it_is_step_by_step() -> None:
    for line in ("k" * 900, "k " * 400, "kk" * 2000):
        compare(EventConfig(stream_key="k"), [line] * 40, 40)


def test_lines_whose_like_was_read_are_read_in_one_pass() -> None:
    parser = EventParser(HDFS, Templates.learn(EventParser(HDFS, Templates(())).texts(BLOCKS)))
    parser.parse(BLOCKS)  # the layout of their stamps is known from here on
    reader = parser.one_pass
    assert reader is not None

    read = reader.read([*BLOCKS, "no stamp", BLOCKS[0] + " blk_1 blk_2", BLOCKS[1] + " é"])

    assert read.others == [120, 121, 122]
    assert len(read.line) == len(BLOCKS)


def test_more_shapes_than_are_remembered_are_told_apart_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shapes, "_MOST", 4)
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    templates = Templates(tuple(sorted(words)))
    reader = Shapes(None, None, templates)

    for _ in range(3):
        assert list(reader.read(words).name) == words
    assert list(reader.read(["eight", "two"]).name) == [None, "two"]


def test_shapes_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_SLOTS", 8)
    words = ["a", "b", "c", "d", "e", "f"]  # some share one of eight slots
    reader = Shapes(None, steps_of("key"), Templates(tuple(f"<*> {word}" for word in words)))
    lines = [f"key {word}" for word in words]

    for _ in range(2):
        assert list(reader.read(lines).name) == [f"<*> {word}" for word in words]
