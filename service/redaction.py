"""Takes secrets out of raw lines, by pattern, before they are stored anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

_Replacement = Callable[[re.Match[str]], str]

_KEYS = ("password", "passwd", "pwd", "secret", "token", "api_key", "api-key", "apikey")
_VALUE = r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"'<]+)"
_CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,12}(?![\w-])")
_SHORTEST_CARD = 13  # digits
# (words in lower case of which one begins every match; pattern; what replaces it)
# Anybody may write a line, so no pattern may take time that grows with the square of its length:
# what can begin at many places has a bound.
_PATTERNS: list[tuple[tuple[str, ...], re.Pattern[str], _Replacement]] = [
    (
        ("passw", "pwd", "secret", "token", "api"),
        re.compile(
            rf"(?i)((?:{'|'.join(_KEYS)})[\w-]{{0,64}}[\"']?[ \t]*(?:[=:]|=>)[ \t]*){_VALUE}"
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


def redact(lines: Sequence[str]) -> list[str]:
    """The lines without passwords, tokens, bearer and basic credentials, AWS keys, JSON web tokens,
    passwords in URLs and payment card numbers.

    Works on all lines at once, as most batches hold none of the words that a pattern needs.
    """
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1:  # a line end inside a line
        text = "\n".join(line.replace("\n", " ") for line in lines)
    folded = text.casefold()  # as (?i) sees letters: an old s is one too
    for words, pattern, replacement in _PATTERNS:
        if any(word in folded for word in words):
            text = _replace(text, folded, words, pattern, replacement)
            folded = text.casefold()
    return _replace_cards(text).split("\n") if lines else []


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
    return _replace_at(text, places, pattern, replacement)


def _replace_cards(text: str) -> str:
    """What `_CARD.sub` gives, but it is tried only where a number of four digits may begin."""
    if len(text) < _SHORTEST_CARD:
        return text
    if not text.isascii():  # other scripts have digits too
        return _CARD.sub(_redact_card, text)
    code = np.frombuffer(text.encode(), np.uint8)
    digit, first = code - np.uint8(48) < 10, code - np.uint8(51) < 4
    begins = first[:-3] & digit[1:-2] & digit[2:-1] & digit[3:]
    begins[1:] &= ~digit[:-4]
    places = np.flatnonzero(begins).tolist()
    return _replace_at(text, places, _CARD, _redact_card)


def _replace_at(
    text: str,
    places: Sequence[int],
    pattern: re.Pattern[str],
    replacement: _Replacement,
) -> str:
    """The text with what the pattern matches at one of the places, in order, replaced."""
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
