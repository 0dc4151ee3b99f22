"""Finds the stream keys in the lines of a batch, all at once where the expression allows it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, repeat
from operator import ge, itemgetter
from shlex import quote  # a copy of what is shown is the same expression
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from .errors import InputError
from .skeleton import WILDCARD

# Where none of these stands in an expression, what it matches depends on the matched characters
# alone (and on whether a letter is next), not on where the text begins or ends. A repetition that
# gives nothing back (`*+`) would take what is behind the line and find nothing.
_LOOKS_AROUND = re.compile(r"\\[AZ]|\$|(?<!\[)\^|\(\?(?!:)|[*+?}]\+")
# A character or a class of them with how often it comes, or a bracket of the group.
_STEP = re.compile(
    r"(?P<bracket>\((?!\?)|\))|"
    r"(?P<atom>\\[dwsDWS]|\\[^\w]|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\^$*+?{}\[\]|()])"
    r"(?P<times>[?*+]|\{[0-9]+(?:,[0-9]*)?\}|)"
)
_TIMES = {"": "1", "?": "0,1", "*": "0,", "+": "1,"}
_ENDLESS = 1 << 40
_ESCAPED = re.compile(r"\\([^AZ])")
# Of lines that are looked at together. From each place where a key can begin an expression may run
# to the end of the text, so all lines of a batch would take time that grows with their square.
_CHARACTERS = 4096

Found = tuple[list[int], list[str], list[str]]


def compile_expression(pattern: str, what: str) -> re.Pattern[str]:
    """A regular expression; InputError when it is none."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"{what} {quote(pattern)} is no regular expression: {error}") from None


class Steps(NamedTuple):
    """An expression that never has to go back, as `find_keys` takes it."""

    begins: Bool[np.ndarray, " characters"]
    classes: Bool[np.ndarray, "steps characters"]
    least: Int64[np.ndarray, " steps"]
    most: Int64[np.ndarray, " steps"]
    group: Int64[np.ndarray, " 2"]


def steps_of(pattern: str) -> Steps | None:
    """An expression as steps, each of which takes all characters of its class that it may; None if
    it is none, or if giving some of them back could make the steps behind it match.
    """
    classes: list[list[bool]] = []
    least: list[int] = []
    most: list[int] = []
    group: list[int] = []
    end = 0
    for found in _STEP.finditer(pattern):
        if found.start() != end:
            return None
        end = found.end()
        if found["bracket"]:
            if found["bracket"] != "()"[len(group) :][:1]:
                return None
            group.append(len(classes))
            continue
        matches = re.compile(found["atom"]).fullmatch
        classes.append([matches(chr(code)) is not None for code in range(128)])
        fewest, comma, largest = _TIMES.get(found["times"], found["times"][1:-1]).partition(",")
        least.append(int(fewest))
        most.append(int(largest or (_ENDLESS if comma else fewest)))
    if end < len(pattern) or len(set(group)) == 1 or not any(least):  # the group may be empty
        return None
    table = np.array(classes, dtype=np.bool_)
    for step in range(len(least)):
        following = np.zeros(128, np.bool_)
        for behind in range(step + 1, len(least)):
            following |= table[behind]
            if least[behind]:
                break
        if most[step] > least[step] and (table[step] & following).any():
            return None
    may_be_first = 1 + next(step for step, fewest in enumerate(least) if fewest)
    begins = np.logical_or.reduce((*table[:may_be_first], np.arange(128) == ord("\n")))
    return Steps(begins, table, np.array(least), np.array(most), np.array(group or [0, len(least)]))


def _distinct(rows: list[int], keys: list[str]) -> tuple[list[int], list[str]]:
    if not any(map(ge, rows, rows[1:])):  # none has several
        return rows, keys
    pairs = list(dict.fromkeys(zip(rows, keys, strict=True)))
    return [row for row, _ in pairs], [key for _, key in pairs]


class Keys:
    """Finds the keys in lines, and what the lines are with `<*>` in their place.

    A key is group 1 of the expression, or else all that it matches; empty ones do not count.
    """

    def __init__(self, pattern: str) -> None:
        self._expression = compile_expression(pattern, "stream key")
        self.steps = steps_of(pattern)
        self._local = _LOOKS_AROUND.search(_ESCAPED.sub("", pattern)) is None

    def find(self, lines: Sequence[str]) -> Found:
        """Of each distinct key of each line, in order: the line's number, and the key; and all the
        lines without their keys. No line may hold a line end.
        """
        if self.steps is None:
            return self._find_by_expression(lines)
        text = "\n".join((*lines, ""))
        if not text.isascii():
            return self._find_apart(lines)
        from .line_kernels import find_keys  # half a second for Numba, which `--help` need not wait

        places = np.empty((len(text), 3), np.int64)
        data = np.empty(len(text) * len(WILDCARD), np.uint8)
        count, size = find_keys(np.array(memoryview(text.encode())), *self.steps, places, data)
        rows, begins, ends = places[:count].T.tolist()
        keys = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        return *_distinct(rows, keys), data[:size].tobytes().decode().split("\n")[:-1]

    def _find_apart(self, lines: Sequence[str]) -> Found:
        """The same, where some lines have characters past ASCII: steps know nothing of them."""
        found: list[tuple[int, str]] = []
        masked = list(lines)
        for plain, find in ((True, self.find), (False, self._find_by_expression)):
            numbers = [row for row, line in enumerate(lines) if line.isascii() is plain]
            rows, keys, texts = find([lines[row] for row in numbers])
            found += [(numbers[row], key) for row, key in zip(rows, keys, strict=True)]
            for row, text in zip(numbers, texts, strict=True):
                masked[row] = text
        found.sort(key=itemgetter(0))
        return [row for row, _ in found], [key for _, key in found], masked

    def _find_by_expression(self, lines: Sequence[str]) -> Found:
        ends = list(accumulate(map(len, lines), initial=0))
        rows: list[int] = []
        keys: list[str] = []
        masked: list[str] = []
        while (begin := len(masked)) < len(lines):
            stop = max(begin + 1, bisect_right(ends, ends[begin] + _CHARACTERS) - 1)
            own, found, between = self._find(lines[begin:stop])
            rows += [begin + row for row in own]
            keys += found
            masked += between
        return rows, keys, masked

    def _find(self, lines: Sequence[str]) -> Found:
        """The same of few lines."""
        pieces = self._cut("\n".join(lines)) if self._local and lines else None
        if pieces is None:
            rows, keys, masked = [], [], []
            for row, line in enumerate(lines):
                cut = self._cut(line)
                assert cut is not None, "no line holds a line end"
                own, between = cut
                rows += [row] * len(own)
                keys += own
                masked.append(WILDCARD.join(between))
        else:
            keys, between = pieces
            rows = list(accumulate(map(str.count, between[:-1], repeat("\n"))))
            masked = WILDCARD.join(between).split("\n")
        return *_distinct(rows, keys), masked

    def _cut(self, text: str) -> tuple[list[str], list[str]] | None:
        """Keys, and what stands before, between and behind them; None if a match crosses lines."""
        group = 1 if self._expression.groups else 0
        keys, between, end = [], [], 0
        for found in self._expression.finditer(text):
            begin, stop = found.span(group)
            if begin < 0:  # the group took no part
                begin, stop = found.span()
            if "\n" in found[0]:
                return None
            if begin < stop:
                keys.append(text[begin:stop])
                between.append(text[end:begin])
                end = stop
        between.append(text[end:])
        return keys, between
