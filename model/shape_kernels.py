"""Lines that are like lines before them but for digits and stream key, read in one pass; by Numba.

shapes.py says what a shape is. Nothing here needs the interpreter's lock.
"""

from __future__ import annotations

import numpy as np

from .kernels import _jit
from .line_kernels import _has_layout, _is_same, match_steps
from .skeleton import WILDCARD

# What is known of a line, by column.
BEGIN, END, LAYOUT, AGAIN, KEY, KEY_END, KEY_CODE, SHAPE, SHAPE_BEGIN, SHAPE_END = range(10)
COLUMNS = 10
OTHER, NEW_SHAPE = -2, -1  # in place of a shape's number

_MASK = tuple(WILDCARD.encode())
_LINE_END = 10
_DROPPED = 0  # in `spaced`: a digit
_BASIS, _PRIME = 0x4BF29CE484222325, 0x100000001B3  # of the hash FNV-1a, a bit less of the first


@_jit
def _is_space(code):
    return code == 32 or 9 <= code <= 13 or 28 <= code <= 31


@_jit
def _same_bytes(one, begin, other, start, size):
    i = 0
    while i < size and one[begin + i] == other[start + i]:
        i += 1
    return i >= size


@_jit
def hash_of(data, begin, size):
    """Of some bytes, as tables of shapes and of a batch's keys know them."""
    value = np.int64(_BASIS)
    for i in range(size):
        value = (value ^ data[begin + i]) * np.int64(_PRIME)
    return value ^ (value >> 29)


@_jit
def find_shape(slots, entries, arena, data, begin, size):
    """Number of the shape that some bytes are, `NEW_SHAPE` if it is none yet; and its slot."""
    mask = len(slots) - 1
    value = hash_of(data, begin, size)
    at = value & mask
    while slots[at] != 0:
        entry = slots[at] - 1
        if (
            entries[entry, 0] == value
            and entries[entry, 2] == size
            and _same_bytes(arena, entries[entry, 1], data, begin, size)
        ):
            return entry, at
        at = (at + 1) & mask
    return np.int64(NEW_SHAPE), at


@_jit
def put_shape(slots, entries, arena, shape, entry, begin):
    """Know a shape, which is not there yet, under a number; its bytes lie at `begin` from now."""
    _, at = find_shape(slots, entries, arena, shape, 0, len(shape))
    slots[at] = entry + 1
    entries[entry, 0] = hash_of(shape, 0, len(shape))
    entries[entry, 1], entries[entry, 2] = begin, len(shape)
    for i in range(len(shape)):
        arena[begin + i] = shape[i]


@_jit
def _mask_key(data, at, end, begins, classes, least, most, group, spaced, shapes, size, place):
    """Write a line's text from `at` to `end` as its shape, from number `size` of `shapes` on.

    Sets where its key begins and ends in `place`. Returns where the shape ends, and how many
    different keys there are; after two it stops. See `line_kernels.find_keys`.
    """
    keys = 0
    while at < end:
        code = data[at]
        if not begins[code]:
            code = spaced[code]
            shapes[size] = code
            size += code != _DROPPED
            at += 1
            continue
        begin, stop, behind = match_steps(data, at, end, classes, least, most, group)
        if behind > at and begin < stop:
            if keys and not (
                stop - begin == place[1] - place[0]
                and _same_bytes(data, begin, data, place[0], stop - begin)
            ):
                return size, 2
            place[0], place[1] = begin, stop
            keys = 1
        else:
            stop, behind = at, max(behind, at + 1)
        for i in range(at, behind):
            if i == begin and begin < stop:
                for j in range(len(_MASK)):
                    shapes[size + j] = _MASK[j]
                size += len(_MASK)
            if not begin <= i < stop:
                shapes[size] = spaced[data[i]]
                size += shapes[size] != _DROPPED
        at = behind
    return size, keys


@_jit
def _code_of_key(data, line, coded, found, firsts):
    """Number of a line's key among those of this text; a new one is the next.

    `coded`: slots, a power of two of them and more than keys, with the number of a key plus one;
    `firsts`: the line that each key comes first in, and how many there are.
    """
    mask = len(coded) - 1
    begin, end = found[line, KEY], found[line, KEY_END]
    at = hash_of(data, begin, end - begin) & mask
    while coded[at] != 0:
        first = firsts[coded[at] - 1]
        size = found[first, KEY_END] - found[first, KEY]
        if size == end - begin and _same_bytes(data, found[first, KEY], data, begin, size):
            return coded[at] - 1
        at = (at + 1) & mask
    code = firsts[-1]
    coded[at], firsts[code] = code + 1, line
    firsts[-1] += 1
    return code


@_jit
def read_lines(data, stamps, steps, spaced, table, longest, found, digits, keys, shapes):
    """What is known of each line of a text of ASCII, each with its line end.

    `stamps`: the layouts of time stamps, their sizes and places, as `find_layouts` takes them, no
    layout if lines have no stamp; `steps`: those of a key, as `find_keys` takes them, none if lines
    have no key. `spaced`: by character what stands for it in a shape, 0 for a digit. `table`:
    slots, entries and bytes of the shapes; `longest`: bytes of a text that may have one. `keys`:
    slots for the keys of this text, all 0, and room for the line that each key comes first in, and
    one number more.

    Sets by line in `found` where it begins and ends, the layout of its stamp, whether that but for
    the fraction is the stamp of the line before that is read here; where its key begins and ends,
    its number among the keys; its shape, `NEW_SHAPE` if it was not known, of which `shapes` has the
    bytes between the last two numbers, or `OTHER` if the line must be read otherwise: it has
    another layout, something before its stamp, no key or several, a long text or none. In `digits`
    its stamp's fraction.
    """
    layouts, sizes, places = stamps
    begins, classes, least, most, group = steps
    slots, entries, arena = table
    coded, firsts = keys
    firsts[-1] = 0
    key = np.zeros(2, np.int64)
    line = at = written = 0
    last, before, latest = -1, 0, 0
    timed, keyed = layouts.shape[1] > 0, len(least) > 0
    while at < len(data):
        end = at
        while data[end] != _LINE_END:
            end += 1
        row = found[line]
        row[BEGIN], row[END], row[LAYOUT], row[AGAIN], row[SHAPE] = at, end, -1, 0, OTHER
        row[KEY], row[KEY_END], row[KEY_CODE], digits[line] = 0, 0, 0, 0
        begin, stop = at, end
        if timed:
            for i in range(len(sizes)):
                tried = (latest + i) % len(sizes)  # most lines are like the one before
                if _has_layout(data, at, layouts[tried], sizes[tried]):
                    row[LAYOUT] = tried
                    begin = at + places[tried, 5]
                    break
        read = not timed or (row[LAYOUT] >= 0 and places[row[LAYOUT], 0] == 0)
        if read:
            while begin < stop and _is_space(data[begin]):
                begin += 1
            while stop > begin and _is_space(data[stop - 1]):
                stop -= 1
            read = 0 < stop - begin <= longest
        if read:
            size, n = _mask_key(
                data, begin, stop, begins, classes, least, most, group, spaced, shapes, written, key
            )
            if n == keyed:
                row[KEY], row[KEY_END] = key[0], key[1]
                shape, _ = find_shape(slots, entries, arena, shapes, written, size - written)
                row[SHAPE], row[SHAPE_BEGIN], row[SHAPE_END] = shape, written, size
                if shape == NEW_SHAPE:
                    written = size
                if keyed:
                    row[KEY_CODE] = _code_of_key(data, line, coded, found, firsts)
                if timed:
                    which = row[LAYOUT]
                    _, point, fraction, tail, behind, _ = places[which]
                    row[AGAIN] = (
                        which == last
                        and _is_same(data, at, before, 0, point)
                        and _is_same(data, at, before, tail, behind)
                    )
                    for i in range(fraction, tail):
                        digits[line] = 10 * digits[line] + data[at + i] - 48
                    last, before, latest = which, at, which
        at = end + 1
        line += 1
