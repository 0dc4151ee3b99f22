"""Where a time stamp lies in lines like one that an expression has matched."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from .line_kernels import DIGIT, find_layouts

_MOST = 16  # layouts
_SIZE = 128  # characters of a layout
_TAIL = 16  # characters behind the fraction that a format may look at: a zone, a year, brackets
_BRACKETS = 3  # the same if there can be no zone, no year and no fraction
_MAY_GO_ON = re.compile(r" ?[+\-A-Za-z]|[.,:]")
_ENDS_TAIL = re.compile(r"[^\w +\-:.,)\]\"'=]", re.ASCII)  # what no format goes past


class Layouts:
    """The layouts of the lines of one format, those of late.

    A format's expression tells no digit from another but the first one of a year or of an epoch,
    and looks at `_TAIL` characters behind the fraction of the second at the most (or behind the
    second, if there is none). So it matches at the same places in lines that are the same up to
    there but for their digits.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._layouts = np.zeros((_MOST, _SIZE), np.uint8)
        self._sizes = np.zeros(_MOST, np.int64)
        self._next = 0
        # Where the stamp begins, its fraction's point, its fraction, where that ends, where the
        # stamp ends, where what follows begins.
        self.places = np.zeros((_MOST, 6), np.int64)

    @property
    def known(
        self,
    ) -> tuple[UInt8[np.ndarray, "n size"], Int64[np.ndarray, " n"], Int64[np.ndarray, "n 6"]]:
        """The layouts, their sizes and places, as the kernels take them."""
        n = len(self._known)
        return self._layouts[:n], self._sizes[:n], self.places[:n]

    def find(self, text: str) -> tuple[Int64[np.ndarray, "lines 4"], Int64[np.ndarray, " lines"]]:
        """Of each line of a text (that ends with a line end) where it begins and ends, its layout
        (−1: none that is known), and 1 if its stamp but for the fraction is that of the last line
        with a layout; and the fraction's digits as a number.
        """
        data = np.array(memoryview(text.encode("latin-1", "replace")))
        lines = text.count("\n")
        found, digits = np.empty((lines, 4), np.int64), np.empty(lines, np.int64)
        find_layouts(data, *self.known, found, digits)
        return found, digits

    def learn(self, line: str, places: Sequence[int], first: int, *, has_year: bool) -> None:
        """Know a line's layout from now on. `places` as above; `first`: where the first digit of
        its year or its epoch is, −1 if it has neither; `has_year`: a year stands behind the zone.
        """
        tail = places[3]
        end = _ENDS_TAIL.search(line + "\n", tail)
        assert end is not None, "a line end is one"
        size = _TAIL if has_year or _MAY_GO_ON.match(line, tail) else _BRACKETS
        head = (line + "\n")[: min(end.end(), tail + size)]
        if len(head) > _SIZE or not head.isascii() or "?" in head:
            return
        layout = bytearray(re.sub("[0-9]", chr(DIGIT), head).encode("latin-1"))
        if first >= 0:
            layout[first] = ord(head[first])
        key = bytes(layout)
        if key in self._known:
            return
        at = self._next
        self._known = {known: i for known, i in self._known.items() if i != at}
        self._known[key] = at
        self._layouts[at, : len(key)] = layout
        self._sizes[at] = len(key)
        self.places[at] = places
        self._next = (at + 1) % _MOST
