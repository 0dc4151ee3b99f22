"""A line's key, taken apart at its delimiters: the form in which templates see lines.

The key is the line without its digits. All that follows is a function of the key alone, so that
lines which differ in digits alone can never be told apart later on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

WILDCARD = "<*>"

LONGEST_KEY = 8192  # bytes of a key that count; what follows is ignored
MOST_BODIES = 200  # likewise

DIGITS = b"0123456789"
# Control characters count as spaces; a line break is kept, for lines that are joined by it.
SPACED = bytes(32 if (code < 32 and code != 10) or code == 127 else code for code in range(256))

_OPENING = r"(?:[(\[{\"]|<(?!\*>))"
_DELIMITER = rf" = |[,;]? {_OPENING}?|[)\]}}\">][,;:]? ?|{_OPENING}|[=,;|]"
_QUERY = r"\?[^\s\"<>]*"  # of a URL; it is not split, for its parameters come and go
_LINE_PARTS = re.compile(rf"(<\*>|(?<![A-Za-z])'[^']*')|({_QUERY})|{_DELIMITER}")
_TEMPLATE_PARTS = re.compile(rf"(<\*>|{_QUERY})|{_DELIMITER}")
_HEXADECIMAL = re.compile(r"\W*x[a-fA-F]+\W*")  # its digits are gone
_LISTED = frozenset((" ", ",", ", ", ";", "; "))

# Variables wherever they stand: parts of dates, and units, which go with a number.
_VARIABLE_WORDS = frozenset(
    (
        *("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        *("UTC", "GMT", "CET", "CEST", "EST", "EDT", "CST", "CDT", "PST", "PDT"),
        *("B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"),
    )
)

# Statements of SQL: the first word, and words of which one must follow, if any.
_OBJECTS = (
    *("TABLE", "INDEX", "VIEW", "SEQUENCE", "SCHEMA", "DATABASE", "FUNCTION", "PROCEDURE"),
    *("TRIGGER", "TYPE", "EXTENSION", "ROLE", "USER", "POLICY", "SYSTEM", "SERVER"),
)
_STATEMENTS: dict[str, tuple[str, ...]] = {
    "SELECT": ("FROM",),
    "WITH": ("AS",),
    "INSERT": ("INTO",),
    "UPDATE": ("SET",),
    "DELETE": ("FROM",),
    "MERGE": ("INTO",),
    "COPY": ("TO", "FROM"),
    "GRANT": ("TO",),
    "REVOKE": ("FROM",),
    "CREATE": _OBJECTS,
    "ALTER": _OBJECTS,
    "DROP": _OBJECTS,
    "TRUNCATE": (),
    "CALL": (),
}


class Parts(NamedTuple):
    """A key taken apart: bodies, the delimiter after each, where each body lies in the key."""

    bodies: tuple[str, ...]
    delimiters: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


def digit_free(text: str) -> bytes:
    """The key of a line: its UTF-8 bytes without digits, control characters as spaces."""
    key = text.encode("utf-8", "surrogatepass").translate(SPACED, DIGITS)
    return key.replace(b"\n", b" ")[:LONGEST_KEY]


def digit_free_all(texts: Sequence[str]) -> list[bytes]:
    """The keys of many lines; several times faster than one by one."""
    joined = "\n".join(texts)
    if len(texts) < 2 or joined.count("\n") != len(texts) - 1:
        return [digit_free(text) for text in texts]
    keys = joined.encode("utf-8", "surrogatepass").translate(SPACED, DIGITS).split(b"\n")
    return keys if len(joined) <= LONGEST_KEY else [key[:LONGEST_KEY] for key in keys]


def take_apart(key: str) -> Parts:
    """Split a key at its delimiters.

    A body with a quoted literal in it is `<*>`. Neighbours in a list that are equal and not just
    words are one `<*>`: lists of numbers, of addresses or of literals may have any length. A run
    of spaces counts as two, so that a number between spaces leaves one empty body behind, however
    it was padded.
    """
    bodies: list[str] = []
    delimiters: list[str] = []
    spans: list[tuple[int, int]] = []
    start, variable, last = 0, False, ""
    for found in (*_LINE_PARTS.finditer(key), None):
        if found is None:
            end, delimiter = len(key), ""
        elif found[1] is not None:
            variable = True
            continue
        elif found[2] is not None:
            continue
        else:
            end, delimiter = found.start(), found[0]
        body = key[start:end]
        if variable or body in _VARIABLE_WORDS or _HEXADECIMAL.fullmatch(body):
            body = WILDCARD
        listed = bodies and body == last and delimiters[-1] in _LISTED and not body.isalpha()
        # Nothing behind the last comma or semicolon is no number.
        if listed and (body or delimiter or delimiters[-1] == " "):
            if body or delimiters[-1] != " ":
                bodies[-1] = WILDCARD
            delimiters[-1] = delimiter
            spans[-1] = (spans[-1][0], end)
        else:
            bodies.append(body)
            delimiters.append(delimiter)
            spans.append((start, end))
        last, variable = body, False
        start = end + len(delimiter)
        if len(bodies) == MOST_BODIES:
            delimiters[-1] = ""
            break
    return Parts(tuple(bodies), tuple(delimiters), tuple(spans))


def take_template_apart(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Bodies and delimiters of a template's text; a body such as `t<*>` is the constant `t`."""
    bodies: list[str] = []
    delimiters: list[str] = []
    start = 0
    for found in _TEMPLATE_PARTS.finditer(text):
        if found[1] is None:
            bodies.append(text[start : found.start()])
            delimiters.append(found[0])
            start = found.end()
    bodies.append(text[start:])
    delimiters.append("")
    constants = (body if body == WILDCARD else body.replace(WILDCARD, "") for body in bodies)
    return tuple(constants), tuple(delimiters)


def statement_start(bodies: Sequence[str], delimiters: Sequence[str]) -> int:
    """Where a statement of SQL begins, or past the end.

    It begins the line, or stands behind a colon, a quote or a bracket. In capitals its first word
    is enough where nothing must follow; "Copy this to that" is a sentence. In a statement every
    word counts, for a statement on another table is another event: its words never become
    variables, and its variables (numbers, literals) are never words.
    """
    for i, body in enumerate(bodies):
        followers = _STATEMENTS.get(body.upper())
        if followers is None or not (body.isupper() or (body.islower() and followers)):
            continue
        before = next((word for word in reversed(bodies[:i]) if word), ":")
        if not before.endswith(":") and not delimiters[i - 1].endswith(("(", '"', "=")):
            continue
        if not followers or any(word.upper() in followers for word in bodies[i + 1 :]):
            return i
    return len(bodies)
