"""Tests of finding stream keys: all lines at once must come to what they come to one by one."""

from __future__ import annotations

import random

import pytest

from offscript.model.keys import Keys

LINES = [
    "session=ab12 opened for user=root",
    "",
    "block blk_-3544 and blk_7 and blk_7 again",
    "nothing here",
    "session= session=x id=(9) [12]",
    "user=a b=c session",
    "\tsession=\u00e9\u00df\u65e5 ends",
]


@pytest.mark.parametrize(
    "pattern",
    [
        r"session=(\w+)",
        r"blk_-?\d+",
        r"session=(\w*)",
        r"(?:user|session)=(\w+)",
        r"(?i)SESSION=(\w+)",
        r"session=(\w+)|blk_\d",
        r"^session=(\w+)",
        r"(\w+)$",
        r"\w+\Z",
        r"b[^x]*",
        r"user\s*=?\s*(\w+)",
        r"\s(\S+)",
        r"\W+(\d)",
        r"\[(\d+)\]",
        r"\b\w",
        r"(?=s)",
        r"\$|[^ ]+=",
    ],
)
def test_lines_have_the_keys_that_each_has_alone(pattern: str) -> None:
    keys = Keys(pattern)
    rng = random.Random(0)

    for _ in range(50):
        lines = rng.choices(LINES, k=rng.randrange(9))
        rows, found, masked = keys.find(lines)

        alone = [keys.find([line]) for line in lines]
        assert found == [key for _, own, _ in alone for key in own]
        assert rows == [row for row, (_, own, _) in enumerate(alone) for _ in own]
        assert masked == [text for *_, texts in alone for text in texts]


def test_each_distinct_key_of_a_line_comes_once_and_all_are_masked() -> None:
    assert Keys(r"blk_-?\d+").find(LINES[2:4]) == (
        [0, 0],
        ["blk_-3544", "blk_7"],
        ["block <*> and <*> and <*> again", "nothing here"],
    )
