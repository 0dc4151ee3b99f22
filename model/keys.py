"""Finds the stream keys in the lines of a batch, all at once where the expression allows it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, repeat
from operator import ge

from .errors import InputError
from .skeleton import WILDCARD

# Where none of these stands in an expression, what it matches depends on the matched characters
# alone (and on whether a letter is next), not on where the text begins or ends. A repetition that
# gives nothing back (`*+`) would take what is behind the line and find nothing.
_LOOKS_AROUND = re.compile(r"\\[AZ]|\$|(?<!\[)\^|\(\?(?!:)|[*+?}]\+")
_ESCAPED = re.compile(r"\\([^AZ])")
# Of lines that are looked at together. From each place where a key can begin an expression may run
# to the end of the text, so all lines of a batch would take time that grows with their square.
_CHARACTERS = 4096


def compile_expression(pattern: str, what: str) -> re.Pattern[str]:
    """A regular expression; InputError when it is none."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"{what} {pattern!r} is no regular expression: {error}") from None


class Keys:
    """Finds the keys in lines, and what the lines are with `<*>` in their place.

    A key is group 1 of the expression, or else all that it matches; empty ones do not count.
    """

    def __init__(self, pattern: str) -> None:
        self._expression = compile_expression(pattern, "stream key")
        self._local = _LOOKS_AROUND.search(_ESCAPED.sub("", pattern)) is None

    def find(self, lines: Sequence[str]) -> tuple[list[int], list[str], list[str]]:
        """Of each distinct key of each line, in order: the line's number, and the key; and all the
        lines without their keys. No line may hold a line end.
        """
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

    def _find(self, lines: Sequence[str]) -> tuple[list[int], list[str], list[str]]:
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
        if any(map(ge, rows, rows[1:])):  # several in a line
            pairs = list(dict.fromkeys(zip(rows, keys, strict=True)))
            rows, keys = [row for row, _ in pairs], [key for _, key in pairs]
        return rows, keys, masked

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
