"""Layouts of lines: what they find is what the format's expression finds."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from offscript.model import timestamps
from offscript.model.line_kernels import find_layouts
from offscript.model.logs import read_lines
from offscript.model.stamp_formats import FORMATS
from offscript.model.timestamps import TimeReader, find_format

HEADS = {
    "iso": "2026-11-23 08:07:00",
    "dotted": "2005-06-03-15.42.50",
    "basic": "20171223-22:15:29",
    "ctime": "Sun Dec 04 04:47:44",
    "day_month": "23-Nov-2026 08:07:00",
    "american": "11/23/2026 8:07:00",
    "european": "23.11.2026 08:07:00",
    "short": "17/06/09 20:10:40",
    "hdfs": "081109 203615",
    "epoch": "1117838570",
    "syslog": "Nov 23 08:07:00",
    "klog": "I1123 08:07:00",
    "month_day": "11-23 08:07:00",
    "clock": "08:07:00",
}
TAILS = [
    *(
        "",
        ".5",
        ",123",
        ":123456",
        ".123456789",
        ".1234567890",
        " UTC",
        "Z",
        " +0200",
        "+02",
        "-07:00",
    ),
    *(
        " UTCx",
        " GMT:",
        " PM",
        " INFO",
        " 12",
        " 2025",
        " UTC 2031",
        "]",
        "]:",
        ":",
        ",",
        "\u00ff",
        "?",
    ),
]
LETTERS = ' 0123456789:.,+-TZUTCaz?[]("=_\t\x1f\u00e9\u00ff\u0661\u65e5'


def changed(line: str, rng: random.Random) -> str:
    """The line with a few characters replaced, left out or put in, most of them digits."""
    characters = list(line)
    for _ in range(rng.choice([0, 0, 0, 1, 2, 4])):
        at = rng.randrange(min(len(characters), 40))
        if characters[at].isdecimal() and rng.random() < 0.7:
            characters[at] = rng.choice("0123456789")
        else:
            characters[at] = rng.choice([*LETTERS, "", characters[at] + rng.choice(LETTERS)])
    return "".join(characters)


def by_expression(name: str, batches: list[list[str]]) -> list[tuple[list[int], str, list[str]]]:
    """What a reader makes of the batches that never knows a layout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestamps, "_LEARNED", 0)
        return by_layouts(name, batches)


def by_layouts(name: str, batches: list[list[str]]) -> list[tuple[list[int], str, list[str]]]:
    reader = TimeReader(name)
    reader._last = 1.7e9  # not when it was made
    found = (reader.read(batch) for batch in batches)
    return [(rows, np.array(seconds).tobytes().hex(), rest) for rows, seconds, rest in found]


@pytest.mark.parametrize("words", [0, 1, 2])
@pytest.mark.parametrize("kind", FORMATS)
def test_lines_in_known_layouts_are_read_as_by_the_expression(kind: str, words: int) -> None:
    rng = random.Random(words)
    batches = []
    for _ in range(60):
        lines: list[str] = []
        for _ in range(rng.choice([0, 1, 5, 40])):
            before = "".join(rng.choices(["a ", "b1 ", "- ", "\u00e9 ", "<34>1 "], k=words))
            line = before + rng.choice(["", "", "["]) + HEADS[kind] + rng.choice(TAILS)
            line = changed(line + rng.choice(["", " [3] tail", " x"]), rng)
            lines.append(rng.choice(lines) if lines and rng.random() < 0.4 else line)
        batches.append(lines)

    assert by_layouts(f"{kind}@{words}", batches) == by_expression(f"{kind}@{words}", batches)


@pytest.mark.slow
def test_most_lines_of_real_logs_are_in_known_layouts(data: Path) -> None:
    lines = list(read_lines([data / "raw" / "hdfs_2pct.log.xz"]))[:20_000]
    name = find_format(lines)
    assert name is not None
    batches = [lines[at : at + 500] for at in range(0, len(lines), 500)]
    reader = TimeReader(name)
    reader.read(batches[0])

    found, _ = reader.layouts.find("\n".join((*lines, "")))

    assert np.mean(found[:, 2] >= 0) > 0.99
    assert by_layouts(name, batches) == by_expression(name, batches)


def test_a_very_long_line_and_empty_ones_are_read() -> None:
    lines = ["081109 203615 " + "x" * 100_000, "", "081109 203616 y", "y" * 100_000, ""] * 3

    rows, seconds, rest = TimeReader("hdfs@0").read(lines)

    assert rows == [0, 2, 5, 7, 10, 12]
    assert np.diff(seconds).tolist() == [1.0, -1.0, 1.0, -1.0, 1.0]
    assert [len(text) for text in rest] == [100_001, 2] * 3


def test_lines_of_many_layouts_need_no_other_kernel_than_those_of_none() -> None:
    reader = TimeReader("iso@0")

    for rest in ("", " a", ".5 b", ",5"):  # none is known, then one, two, three
        reader.read([f"2026-11-23 08:07:00{rest}"])

    assert len(find_layouts.signatures) == 1  # what `warm` has compiled
