"""Takes secrets out of raw lines, by pattern, before they are stored anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

from .line_kernels import (
    BEGINS_CARD,
    BEGINS_WORD,
    ENDS_LINE,
    ORDINARY,
    PAST_ASCII,
    find_suspects,
)
from .own_patterns import OwnPatterns, redact_own

Redacted = NewType("Redacted", list[str])
"""Lines, each without a line end, of which `redact` has taken out what is secret."""

_Replacement = Callable[[re.Match[str]], str]

_KEYS = ("password", "passwd", "pwd", "secret", "token", "api_key", "api-key", "apikey")
_KEY = rf"(?:{'|'.join(_KEYS)})[\w-]{{0,64}}"
_ESCAPES = r"\\{0,8}"  # of a quote, in JSON that lies in JSON
_QUOTE = rf"{_ESCAPES}[\"']"
_NEXT = rf"{_QUOTE}[\w.-]{{1,64}}{_QUOTE}[ \t]*:"  # the next key of JSON
# What ends a value without quotes: the next pair, a quote around it all, or the sentence.
_STOP = (
    rf"[,;&](?:[\w.-]{{1,64}}=|[ \t]*{_NEXT}|\s|\Z)"
    rf"|{_QUOTE}(?:[\s,;:}}\])>]|\Z)"
)
_PLAIN = rf"(?:(?!{_STOP})\S)+"
# To the next quote of the same kind, or to the end of a line that was cut. What follows without a
# space belongs to it, as in a shell. A quote before the next pair ends something, and begins none.
_QUOTED = (
    rf"(?P<escapes>{_ESCAPES})(?P<quote>[\"'])(?![ \t]+[\w.-]{{1,64}}=|,[ \t]*{_NEXT})"
    r"(?:(?!(?<!\\)(?P=escapes)(?P=quote)).)*"
    rf"(?:(?P=escapes)(?P=quote)(?:(?![,;&:}}\])>]){_PLAIN})?)?"
)
_VALUE = rf"(?:{_QUOTED}|(?:(?:bearer|basic)[ \t]+)?{_PLAIN})"
_CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,12}(?![\w-])")
# (words in lower case of which one begins every match; pattern; what replaces it)
# Anybody may write a line, so no pattern may take time that grows with the square of its length:
# what can begin at many places has a bound.
_OPTION = ("--",)
_PATTERNS: list[tuple[tuple[str, ...], re.Pattern[str], _Replacement]] = [
    (
        ("passw", "pwd", "secret", "token", "api"),
        re.compile(rf"(?i)({_KEY}(?:{_ESCAPES}[\"'\]]){{0,2}}[ \t]*[=:]{{1,3}}>?[ \t]*){_VALUE}"),
        lambda found: f"{found[1]}<redacted>",
    ),
    (
        _OPTION,
        re.compile(
            rf"(?i)((?<![\w-])--(?=\w)[\w-]{{0,64}}?{_KEY}(?:{_QUOTE},[ \t]*|[ \t]+))(?!--){_VALUE}"
        ),
        lambda found: f"{found[1]}<redacted>",
    ),
    (
        ("bearer ", "basic "),
        re.compile(r"(?i)\b(bearer|basic) +[a-z0-9+/=._~-]{8,}"),
        lambda found: f"{found[1]} <redacted>",
    ),
    (("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), lambda _: "<redacted>"),
    (("eyj",), re.compile(r"\beyJ[\w-]{8,512}\.[\w-]{8,}\.[\w-]*"), lambda _: "<redacted>"),
    (("://",), re.compile(r"(://[^/\s:@]*:)[^@\s/]+(?=@)"), lambda found: f"{found[1]}<redacted>"),
]


def _tables() -> tuple[NDArray[Any], ...]:
    """The words as `find_suspects` takes them."""
    # An option's name holds one of the first pattern's words: a ruler of hyphens is none.
    words = [word.encode() for alike, _, _ in _PATTERNS if alike != _OPTION for word in alike]
    pairs = np.full((256, 256), ORDINARY, np.uint8)
    for word in words:
        for first, second in product(*zip(word[:2], word[:2].upper(), strict=True)):
            pairs[first, second] = BEGINS_WORD
    pairs[ord("3") : ord("7"), ord("0") : ord("9") + 1] = BEGINS_CARD
    pairs[128:] = PAST_ASCII
    pairs[ord("\n")] = ENDS_LINE
    folded = np.array(memoryview(bytes(range(256)).lower()))
    bounds = np.cumsum([0, *map(len, words)])
    return folded, pairs.reshape(-1), np.array(memoryview(b"".join(words))), bounds


_FOLDED, _PAIRS, _WORDS, _BOUNDS = _tables()


def redact(lines: Sequence[str], own: OwnPatterns = ()) -> Redacted:
    """The lines without passwords, tokens, bearer and basic credentials, AWS keys, JSON web tokens,
    passwords in URLs, payment card numbers, and what `own` patterns find. A line end inside a line
    becomes a space.

    Most lines hold none of the words that a pattern needs, nor a number as long as a card's.
    """
    lines = redact_own(lines, own)
    text = "\n".join((*lines, ""))
    if text.count("\n") != len(lines):
        lines = [line.replace("\n", " ") for line in lines]
        text = "\n".join((*lines, ""))
    suspect = np.zeros(len(lines), np.bool_)
    data = np.array(memoryview(text.encode("utf-8", "surrogatepass")))
    find_suspects(data, _FOLDED, _PAIRS, _WORDS, _BOUNDS, suspect)
    redacted = list(lines)
    rows = np.flatnonzero(suspect).tolist()
    if rows:
        text = _redact("\n".join([lines[row] for row in rows]))
        for row, line in zip(rows, text.split("\n"), strict=True):
            redacted[row] = line
    return Redacted(redacted)


def _redact(text: str) -> str:
    """All lines of a text; no pattern goes on past a line's end."""
    folded = text.casefold()  # as (?i) sees letters: an old s is one too
    for words, pattern, replacement in _PATTERNS:
        if any(word in folded for word in words):
            text = _replace(text, folded, words, pattern, replacement)
            folded = text.casefold()
    return _CARD.sub(_redact_card, text)


def _replace(
    text: str,
    folded: str,
    words: Sequence[str],
    pattern: re.Pattern[str],
    replacement: _Replacement,
) -> str:
    """What `pattern.sub` gives, but it is tried only where one of the words stands."""
    if len(folded) != len(text):  # some letters fold to several
        return pattern.sub(replacement, text)
    places = sorted(at for word in words for at in _places(word, folded))
    pieces, end = [], 0
    for at in places:
        found = pattern.match(text, at) if at >= end else None
        if found is not None:
            pieces += [text[end:at], replacement(found)]
            end = found.end()
    return "".join(pieces) + text[end:]


def _places(word: str, text: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _redact_card(match: re.Match[str]) -> str:
    """Only what passes the check sum of card numbers (Luhn, ISO/IEC 7812-1): ids and times stay."""
    digits = [int(c) for c in reversed(match[0]) if c.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return match[0] if (sum(digits[::2]) + doubled) % 10 else "<redacted>"
