"""Lines whose like was read before, read in one pass: a shape is what templates see of a line.

A line's *shape* is what is left of it without its time stamp, its digits and its key, for which
`<*>` stands: the key of `skeleton.py`. Its template depends on that alone. So shapes are remembered
as they are, byte for byte, and a line that has one needs no text of its own any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from .coded import Coded
from .keys import Steps
from .shape_kernels import (
    AGAIN,
    BEGIN,
    COLUMNS,
    KEY,
    KEY_CODE,
    KEY_END,
    LAYOUT,
    NEW_SHAPE,
    OTHER,
    SHAPE,
    SHAPE_BEGIN,
    SHAPE_END,
    put_shape,
    read_lines,
)
from .skeleton import DIGITS, SPACED, WILDCARD
from .templates import CACHED_KEY, UNSEEN, Templates
from .timestamps import TimeReader

_MOST = 1 << 16  # shapes that are remembered; when there are more, it begins anew
_BYTES = 1 << 23  # of them
_SLOTS = 1 << 17

_NO_STAMPS = np.zeros((0, 0), np.uint8), np.zeros(0, np.int64), np.zeros((0, 6), np.int64)
_SPACED = np.array([0 if code in DIGITS else SPACED[code] for code in range(128)], np.uint8)


class Read(NamedTuple):
    """The lines that were read, as columns, and the numbers of those that were not."""

    line: Int64[np.ndarray, " lines"]
    stream: Sequence[str]
    name: Sequence[str | None]
    time: Float64[np.ndarray, " lines"]
    others: list[int]


class Shapes:
    """Reads such lines of one kind of log. Not thread-safe.

    `time`: the reader of their stamps, one that guesses nothing; `steps`: of their keys; None where
    they have none.
    """

    def __init__(self, time: TimeReader | None, steps: Steps | None, templates: Templates) -> None:
        self._time = time
        self._templates = templates
        self._keyed = steps is not None
        nothing = np.zeros(0, np.int64)
        none = Steps(np.zeros(128, np.bool_), np.zeros((0, 128), np.bool_), *[nothing] * 3)
        self._steps = tuple(steps or none)
        self._template = np.zeros(_MOST, np.int64)  # of each shape
        self._slots = np.zeros(_SLOTS, np.int64)  # number of a shape plus one
        self._entries = np.zeros((_MOST, 3), np.int64)  # hash, and where its bytes lie
        self._arena = np.zeros(_BYTES, np.uint8)
        self._count = self._used = 0

    def read(self, lines: Sequence[str]) -> Read:
        """What can be read so of some lines; none that holds a line end, or more than ASCII."""
        text = "\n".join((*lines, ""))
        if not text.isascii() or text.count("\n") > len(lines):
            plain = [row for row, line in enumerate(lines) if line.isascii() and "\n" not in line]
            read = self.read([lines[row] for row in plain])
            line = np.array(plain, dtype=np.int64)[read.line]
            rest = np.setdiff1d(np.arange(len(lines)), line)
            return read._replace(line=line, others=rest.tolist())
        data = np.array(memoryview(text.encode()))
        stamps = _NO_STAMPS if self._time is None else self._time.layouts.known
        n = len(lines)
        found, digits = np.empty((n, COLUMNS), np.int64), np.empty(n, np.int64)
        keys = np.zeros(1 << (2 * n).bit_length(), np.int64), np.empty(n + 1, np.int64)
        shapes = np.empty(len(WILDCARD) * len(data), np.uint8)  # if all is keys of one character
        table = self._slots, self._entries, self._arena
        read_lines(
            data, stamps, self._steps, _SPACED, table, CACHED_KEY, found, digits, keys, shapes
        )
        line = np.flatnonzero(found[:, SHAPE] != OTHER)
        template = self._templates_of(found[line], shapes)
        stream = Coded([""], np.zeros(len(line), np.int64))
        if self._keyed:
            places = found[keys[1][: keys[1][-1]], KEY : KEY_END + 1].tolist()
            stream = Coded([text[begin:end] for begin, end in places], found[line, KEY_CODE])
        time = np.full(len(line), np.nan)
        if self._time is not None and len(line):
            begins, layout, again = found[line][:, [BEGIN, LAYOUT, AGAIN]].T
            time = self._time.seconds(text, lines, line, begins, layout, again, digits[line])
        different, codes = np.unique(template, return_inverse=True)
        texts = self._templates.texts
        names = [None if which == UNSEEN else texts[which] for which in different.tolist()]
        others = np.flatnonzero(found[:, SHAPE] == OTHER).tolist()
        return Read(line, stream, Coded(names, codes), time, others)

    def _templates_of(
        self, found: Int64[np.ndarray, "lines columns"], shapes: UInt8[np.ndarray, " bytes"]
    ) -> Int64[np.ndarray, " lines"]:
        """The template of each line's shape; new shapes are remembered."""
        shape = found[:, SHAPE]
        template = np.where(shape == NEW_SHAPE, UNSEEN, self._template[shape])
        new: dict[bytes, int] = {}
        for row in np.flatnonzero(shape == NEW_SHAPE).tolist():
            key = shapes[found[row, SHAPE_BEGIN] : found[row, SHAPE_END]].tobytes()
            if key not in new:
                new[key] = self._templates.match_key(key)
                self._remember(key, new[key])
            template[row] = new[key]
        return template

    def _remember(self, shape: bytes, template: int) -> None:
        if self._count == _MOST or self._used + len(shape) > _BYTES:
            self._slots[:] = 0
            self._count = self._used = 0
        data = np.array(memoryview(shape))
        put_shape(self._slots, self._entries, self._arena, data, self._count, self._used)
        self._template[self._count] = template
        self._count += 1
        self._used += len(shape)
