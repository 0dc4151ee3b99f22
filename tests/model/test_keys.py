"""Tests of finding stream keys: all lines at once must come to what they come to one by one."""

from __future__ import annotations

import random
import re
import time

import pytest

from offscript.model.keys import Keys, steps_of

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
        r"(session[^;]{0,9}+)\b",
        r"user\s*=?\s*(\w+)",
        r"\s(\S+)",
        r"\W+(\d)",
        r"\[(\d+)\]",
        r"\b\w",
        r"(?=s)",
        r"\$|[^ ]+=",
        r"(\w+)=\w*",
        r"(?:\w)+",
        r"(s+)e?[^s]{2,4}",
        r"[]=]+ ?",
        r"\u65e5",
        r".=",
        r"session()",
        "s{\u0661}",  # no number to an expression
    ],
)
def test_lines_have_the_keys_that_each_has_alone(pattern: str) -> None:
    keys = Keys(pattern)
    expression = re.compile(pattern)
    rng = random.Random(0)

    for _ in range(50):
        lines = rng.choices(LINES, k=rng.randrange(9))
        rows, found, masked = keys.find(lines)

        expected = []
        for row, line in enumerate(lines):
            text, end = "", 0
            own: list[str] = []
            for match in expression.finditer(line):
                group = 1 if expression.groups and match[1] is not None else 0
                if match[group]:
                    own.append(match[group])
                    text += line[end : match.start(group)] + "<*>"
                    end = match.end(group)
            assert masked[row] == text + line[end:]
            expected += [(row, key) for key in dict.fromkeys(own)]
        assert list(zip(rows, found, strict=True)) == expected


@pytest.mark.parametrize(
    ("pattern", "simple"),
    [
        (r"\[([0-9a-f]+\.[0-9a-f]+)\]", True),
        (r"blk_-?\d+", True),
        (r"req-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}", False),  # a group that is no key's
        (r"\w+@", True),
        (r"\w+_", False),  # the word has to give the last of it back
        (r"a*b*a", False),
        (r"x{2,3}?", False),
        (r"(a)(b)", False),
        (r"a|b", False),
        (r"(?i)id", False),
    ],
)
def test_an_expression_is_taken_as_steps_if_none_has_to_give_back(
    pattern: str, simple: bool
) -> None:
    assert (steps_of(pattern) is not None) is simple


def test_each_distinct_key_of_a_line_comes_once_and_all_are_masked() -> None:
    assert Keys(r"blk_-?\d+").find(LINES[2:4]) == (
        [0, 0],
        ["blk_-3544", "blk_7"],
        ["block <*> and <*> and <*> again", "nothing here"],
    )


def test_keys_are_found_across_all_lines_of_a_large_batch() -> None:
    keys = Keys(r"session=([^;]*);")
    lines = ["x" * 1000, "", *(f"{i} session={i % 7}; on" for i in range(5000)), "y" * 9000]
    rows, found, masked = keys.find(lines)
    assert rows == list(range(2, 5002))
    assert found == [str(i % 7) for i in range(5000)]
    assert masked[2:5002] == [f"{i} session=<*>; on" for i in range(5000)]


def test_time_to_find_keys_grows_with_the_lines_and_not_with_their_square() -> None:
    keys = Keys(r"session=([^;]*);")
    line = "a request is done for the customer session=ab12"  # a sender that leaves the end out

    def seconds(count: int) -> float:
        start = time.process_time()
        assert keys.find([line] * count) == ([], [], [line] * count)
        return time.process_time() - start

    seconds(100)
    assert seconds(4000) < 200 * seconds(200)  # 20 times as many; together 400 times the time
