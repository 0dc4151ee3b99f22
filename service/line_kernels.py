"""Many raw lines at a time, compiled by Numba: which may hold a secret, and records of the spool.

Both run without the interpreter's lock.
"""

from __future__ import annotations

import numpy as np

from ..model.kernels import _jit

HEADER_BYTES = 28  # of a record: position of the one before it, key, time, length of the text
_LINE_END = 10
_SHORTEST_CARD = 13  # digits

# What two characters may begin.
ORDINARY, BEGINS_WORD, BEGINS_CARD, PAST_ASCII, ENDS_LINE = range(5)


@_jit
def _continues_word(code):
    """Whether a number that stands behind this is part of a word: `-`, `.`, `_` too."""
    letter = code | 32
    return 48 <= code <= 57 or 97 <= letter <= 122 or code in (45, 46, 95)


@_jit
def _begins_card(data, at):
    """Whether thirteen digits begin here, with at most one space or hyphen between two of them past
    the fourth.
    """
    if at and _continues_word(data[at - 1]):
        return False
    digits = 0
    while digits < _SHORTEST_CARD:
        if at < len(data) and digits >= 4 and data[at] in (32, 45):
            at += 1
        if at >= len(data) or not 48 <= data[at] <= 57:
            return False
        digits += 1
        at += 1
    return True


@_jit
def find_suspects(data, folded, pairs, words, bounds, suspect):
    """Mark the lines of a text that have a character past ASCII, or one of the words, or what may
    be the number of a card.

    `data`: the lines, each with its line end. `folded`: of each character its lower case. `pairs`:
    of each two characters, the first times 256 and the second, what may begin with them. `words`:
    one after the other, in lower case; word i lies at `bounds[i]` to `bounds[i + 1]`. `suspect`: by
    line, all False; it is set.
    """
    row = 0
    for at in range(len(data) - 1):
        kind = pairs[np.int64(data[at]) * 256 + data[at + 1]]
        if kind == ORDINARY:
            continue
        if kind == BEGINS_WORD:
            for word in range(len(bounds) - 1):
                begin, size = bounds[word], bounds[word + 1] - bounds[word]
                i = 0
                while i < size and at + i < len(data) and folded[data[at + i]] == words[begin + i]:
                    i += 1
                if i == size:
                    suspect[row] = True
        elif kind == ENDS_LINE:
            row += 1
        elif kind == PAST_ASCII or _begins_card(data, at):
            suspect[row] = True


@_jit
def _write_number(records, at, number, size):
    for i in range(size):
        records[at + i] = (number >> (8 * i)) & 255


@_jit
def lay_out_records(data, line, n, longest, keys, times, heads, position, room, records, kept):
    """Lay out the lines of a text, from number `line` on, as records one after the other.

    `data`: the lines, with line ends between them, from where number `line` begins; `n`: how many
    there are in all. `longest`: bytes of a line that are kept. `keys`, `times`: by line, as the
    bits of integers. `heads`: by bucket, the position of its last record; it goes on. `position`:
    of the first record; `room`: bytes there are for them.

    Fills `records`, and in `kept` by line the position and the one before it in the bucket. Returns
    the number of the first line that there was no room for, bytes of records, bytes of the text.
    """
    at = written = 0
    while line < n:
        end = at
        while end < len(data) and data[end] != _LINE_END:
            end += 1
        size = min(end - at, longest)
        if written + HEADER_BYTES + size > room:
            break
        bucket = np.int64(np.uint64(keys[line]) % np.uint64(len(heads)))
        kept[line, 0] = position + written
        kept[line, 1] = heads[bucket]
        heads[bucket] = position + written
        _write_number(records, written, kept[line, 1], 8)
        _write_number(records, written + 8, keys[line], 8)
        _write_number(records, written + 16, times[line], 8)
        _write_number(records, written + 24, size, 4)
        written += HEADER_BYTES
        for i in range(size):
            records[written + i] = data[at + i]
        written += size
        at = end + 1
        line += 1
    return line, written, at
