"""Many lines at a time, compiled by Numba: where time stamps and stream keys lie in them.

A text is its lines, each with its line end, as one byte a character; those past ASCII are 128 or
more, or "?". Nothing here needs the interpreter's lock.
"""

from __future__ import annotations

from .kernels import _jit
from .skeleton import WILDCARD

DIGIT = 255  # in a layout: any digit
_MASK = tuple(WILDCARD.encode())
_LINE_END = 10


@_jit
def _has_layout(data, at, layout, size):
    if at + size > len(data):
        return False
    for i in range(size):
        code = data[at + i]
        if not 48 <= code <= 57 if layout[i] == DIGIT else code != layout[i]:
            return False
    return True


@_jit
def _is_same(data, one, other, begin, end):
    at = begin
    while at < end and data[one + at] == data[other + at]:
        at += 1
    return at >= end


@_jit
def find_layouts(data, layouts, sizes, places, found, digits):
    """Which of some layouts each line of a text begins with, if any.

    `layouts`: a row each, what stands there, of which `sizes` count. `places`: of each where the
    stamp begins, its fraction's point, its fraction, where that and the stamp end, and what
    is behind it.

    Sets by line in `found` where it begins and ends, its layout (−1: none), and whether its stamp
    but for the fraction is that of the line with a layout before it; in `digits` its fraction.
    """
    line = at = 0
    last, before, latest = -1, 0, 0
    while at < len(data):
        end = at
        while data[end] != _LINE_END:
            end += 1
        which = -1
        for i in range(len(sizes)):
            tried = (latest + i) % len(sizes)  # most lines are like the one before
            if _has_layout(data, at, layouts[tried], sizes[tried]):
                which = tried
                break
        found[line, 0], found[line, 1], found[line, 2], found[line, 3] = at, end, which, 0
        digits[line] = 0
        if which >= 0:
            begin, point, fraction, tail, stop, _ = places[which]
            if (
                which == last
                and _is_same(data, at, before, begin, point)
                and _is_same(data, at, before, tail, stop)
            ):
                found[line, 3] = 1
            for i in range(fraction, tail):
                digits[line] = 10 * digits[line] + data[at + i] - 48
            last, before, latest = which, at, which
        at = end + 1
        line += 1


@_jit
def match_steps(data, at, limit, classes, least, most, group):
    """Where what an expression's group matches begins and ends, and where the whole match ends, of
    a match that begins at `at`; all three are `at` where there is none. It ends at a line end, or
    at `limit`. See `find_keys`.
    """
    end = begin = stop = at
    for step in range(len(least)):
        if step == group[0]:
            begin = end
        count = 0
        while (
            count < most[step]
            and end < limit
            and data[end] != _LINE_END
            and classes[step, data[end]]
        ):
            end += 1
            count += 1
        if count < least[step]:
            return at, at, at
        if step == group[1] - 1:
            stop = end
    return begin, stop, end


@_jit
def find_keys(data, begins, classes, least, most, group, keys, masked):
    """The keys in the lines of a text of ASCII, and the text with `<*>` for each.

    What a key's expression matches is a step after the other: as many characters of a class as are
    there, between `least` and `most` of them. `classes`: by step and character; `begins`: by
    character, whether a match may begin with it, or a line ends. The key is what the
    steps from number `group[0]` up to `group[1]` match; it counts if it is not empty.

    Sets by key in `keys` its line, where it begins and where it ends; and `masked`. Returns how
    many keys there are, and how long the masked text is.
    """
    line = at = n = size = 0
    while at < len(data):
        code = data[at]
        if not begins[code]:
            masked[size] = code
            size += 1
            at += 1
            continue
        begin, stop, end = match_steps(data, at, len(data), classes, least, most, group)
        if end == at:
            masked[size] = code
            size += 1
            at += 1
            line += code == _LINE_END
            continue
        if begin < stop:
            for i in range(at, begin):
                masked[size] = data[i]
                size += 1
            for i in range(len(_MASK)):
                masked[size + i] = _MASK[i]
            size += len(_MASK)
            keys[n, 0], keys[n, 1], keys[n, 2] = line, begin, stop
            n += 1
            at = stop
        # What is behind the key belongs to the match, and no other begins there.
        while at < end:
            masked[size] = data[at]
            size += 1
            at += 1
    return n, size
