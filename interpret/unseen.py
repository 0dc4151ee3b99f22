"""An event that training never showed: what was like it, and how many of them there have been."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..model.skeleton import LONGEST_KEY
from ..model.timestamps import without_stamp
from ..model.vocabulary import SPECIAL

_PIECE = re.compile(r"(?:[^\W_]|<\*>)+")
_VALUE = re.compile(r"[\d<]")  # in what a template leaves out
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")  # of a pieceLikeThis
_NEAREST = 3


@dataclass(frozen=True)
class Nearest:
    """A known event that has words in common with one that is not known."""

    event: str
    alike: float  # number of words in both / number of words in either
    added: tuple[str, ...]  # words that only the unknown one has, in order
    left_out: tuple[str, ...]  # words that only the known one has, in order


@dataclass(frozen=True)
class Unseen:
    """log2(1 + n) = log2(n) + log2((1 + n) / n), n the unseen events of the stream with this one.

    Of an endless stream, those of its block of time.
    """

    count: int
    before: float  # of those before this one
    this: float  # what this one adds


def nearest(line: str, names: Sequence[str]) -> tuple[Nearest, ...]:
    """The events of the vocabulary `names` most alike a raw line or a name, at most three.

    |words of both| / |words of either|, whatever their case. The time stamp that a line begins
    with and what has a digit in it are no words. An event without a word in common is not near.
    """
    ours = _words(without_stamp(line[:LONGEST_KEY]))
    found = []
    for name in names[len(SPECIAL) :]:
        theirs = _words_of_name(name)
        if both := len(ours.keys() & theirs.keys()):
            found.append((both / (len(ours) + len(theirs) - both), name, theirs))
    found.sort(key=lambda each: -each[0])
    return tuple(
        Nearest(
            event=name,
            alike=alike,
            added=tuple(ours[word] for word in ours if word not in theirs),
            left_out=tuple(theirs[word] for word in theirs if word not in ours),
        )
        for alike, name, theirs in found[:_NEAREST]
    )


def split_unseen(statistic: float) -> Unseen:
    """The statistic of the `new` detector over the unseen events before, and this one."""
    count = max(1, round(math.exp2(statistic)) - 1)
    return Unseen(count, math.log2(count), math.log2((1 + count) / count))


@lru_cache(maxsize=4096)
def _words_of_name(name: str) -> dict[str, str]:
    """Those of the vocabulary stay the same, and taking them apart takes most of the time."""
    return _words(name)


def _words(text: str) -> dict[str, str]:
    """The words of a text in order, each as it is first written by itself in lower case."""
    words: dict[str, str] = {}
    for piece in _PIECE.findall(text):
        if not _VALUE.search(piece):
            for word in [piece] if piece.islower() else _WORD.findall(piece):
                words.setdefault(word.casefold(), word)
    return words
