"""Raw line → template: what is left of a line when its variables are taken out.

A line is read without its digits (its *key*), so that lines which differ in numbers alone are one
thing from the first step on. The key is split at delimiters into bodies; the delimiters alone are
its skeleton. Templates are learned from the set of all distinct lines, skeleton by skeleton, by
dividing it top down (the idea of IPLoM, Makanju et al. 2009), so the order of the lines does not
matter. Then they are frozen: a tree over the bodies (as in Drain, He et al. 2017) finds the
template whose constants all agree.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import ModelError
from .skeleton import (
    LONGEST_KEY,
    SPACED,
    WILDCARD,
    Parts,
    digit_free_all,
    statement_start,
    take_apart,
    take_template_apart,
)

UNSEEN = -1

CACHED_KEY = 1024  # longer keys are matched but not remembered, so that the cache stays small
CACHED_KEYS = 200_000
LEARNED_BYTES = 1 << 28  # of distinct lines; learning takes in no new kinds of lines past it

_NUMBER = re.compile(rb"[0-9]+")
_LETTER = re.compile(r"[^\W\d_]")

_MOST_WORDS = 5  # a column with more different words is a variable
_MOST_VALUES = 1  # the same where a value is expected: a path, a host, after "=" or "user"
_MOST_CAPITALS = 20  # the same for words in capitals: verbs of a protocol, states, levels
_NAMED = frozenset(("user", "username"))
_CAPITALS = re.compile(r"\W*[A-Z]{2}[A-Z_]*\W*")
_VALUE = re.compile(r"[/\\@]|\.\w|\w[-_]\w")
_FEWEST_CONSTANTS = 0.5  # of the words of a template; a looser group is divided further


def _most_words(words: Iterable[str], before: str, delimiter: str, numbered: bool) -> int:
    """How many different words a column may take before it counts as a variable."""
    words = [word for word in words if word]
    values = sum(1 for word in words if _VALUE.search(word))
    if sum(1 for word in words if _CAPITALS.fullmatch(word)) > 0.5 * len(words):
        return _MOST_CAPITALS
    if delimiter.strip() == "=" or before in _NAMED or 2 * values > len(words):
        return 0 if numbered else _MOST_VALUES
    return _MOST_WORDS


def _divide(rows: list[tuple[str, ...]], delimiters: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Templates of rows of one skeleton.

    A group is divided by the column with the fewest different words, as long as these are few
    enough to be constants; what then still varies is variable.
    """
    columns = [set(column) for column in zip(*rows, strict=True)]
    varied = [i for i, column in enumerate(columns) if len(column) > 1]
    candidates: list[tuple[int, int]] = []
    for i in varied:
        words = columns[i] - {WILDCARD, ""}
        numbered = len(words) < len(columns[i])
        before = next(iter(columns[i - 1])) if i and len(columns[i - 1]) == 1 else ""
        delimiter = delimiters[i - 1] if i else ""
        if 0 < len(words) <= _most_words(words, before, delimiter, numbered):
            candidates.append((len(words), i))
    if not candidates:
        constants = sum(1 for column in columns if len(column) == 1 and column - {WILDCARD, ""})
        if constants >= _FEWEST_CONSTANTS * (constants + len(varied)):
            merged = (next(iter(c)) if len(c) == 1 else WILDCARD for c in columns)
            return [tuple(merged)]
        candidates = [(len(columns[i]), i) for i in varied]
    _, chosen = min(candidates)
    parts: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for row in rows:
        parts[row[chosen]].append(row)
    return [found for word in sorted(parts) for found in _divide(parts[word], delimiters)]


def _distinct(texts: Iterable[str]) -> set[bytes]:
    """The kinds of lines: every number is 0."""
    distinct: set[bytes] = set()
    room = LEARNED_BYTES
    for text in texts:
        line = text.encode("utf-8", "surrogatepass").translate(SPACED).replace(b"\n", b" ")
        kind = _NUMBER.sub(b"0", line)[: 2 * LONGEST_KEY]
        if kind not in distinct and len(kind) <= room:
            distinct.add(kind)
            room -= len(kind)
    return distinct


def _rows(
    kinds: Iterable[bytes],
) -> dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[str, ...]]]:
    """Bodies of lines by skeleton and statement of SQL; those that held a digit are replaced."""
    numbered: dict[Parts, set[int]] = defaultdict(set)
    for line in kinds:
        pieces = line.decode("utf-8", "replace").split("0")
        parts = take_apart(line.replace(b"0", b"")[:LONGEST_KEY].decode("utf-8", "replace"))
        ends = [end for _, end in parts.spans]
        columns = numbered[Parts(parts.bodies, parts.delimiters, ())]
        position = 0
        for piece in pieces[:-1]:
            position += len(piece)
            i = bisect_left(ends, position)
            if i < len(ends) and parts.spans[i][0] <= position:
                columns.add(i)
    rows: dict[tuple[tuple[str, ...], tuple[str, ...]], set[tuple[str, ...]]] = defaultdict(set)
    for parts, columns in numbered.items():
        start = statement_start(parts.bodies, parts.delimiters)
        row = list(parts.bodies)
        for i in columns:
            named = i >= start or parts.delimiters[i].strip() == "="
            keep = named and _LETTER.search(row[i]) and row[i] != WILDCARD
            row[i] = row[i] + WILDCARD if keep else WILDCARD
        rows[parts.delimiters, tuple(row[start:])].add(tuple(row))
    return {group: sorted(rows[group]) for group in sorted(rows)}


class _Node:
    """A body of the templates of one skeleton that begin alike."""

    __slots__ = ("constants", "template", "wildcard")

    def __init__(self) -> None:
        self.constants: dict[str, _Node] = {}
        self.wildcard: _Node | None = None
        self.template = UNSEEN


@dataclass(frozen=True)
class Templates:
    """Frozen templates; `texts[i]` is the text of template i, `<*>` standing for a variable."""

    texts: tuple[str, ...]
    _roots: dict[tuple[str, ...], _Node] = field(init=False, repr=False, compare=False)
    # Two generations: what was not asked for during a whole generation is forgotten.
    _recent: dict[bytes, int] = field(init=False, repr=False, compare=False)
    _older: dict[bytes, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        roots: dict[tuple[str, ...], _Node] = {}
        for template, text in enumerate(self.texts):
            bodies, delimiters = take_template_apart(text)
            node = roots.setdefault(delimiters, _Node())
            for body in bodies:
                if body == WILDCARD:
                    node.wildcard = node.wildcard or _Node()
                    node = node.wildcard
                else:
                    node = node.constants.setdefault(body, _Node())
            if node.template == UNSEEN:
                node.template = template
        object.__setattr__(self, "_roots", roots)
        object.__setattr__(self, "_recent", {})
        object.__setattr__(self, "_older", {})

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Templates:
        """The templates of lines; the same whatever the order of the lines."""
        found: set[str] = set()
        for (delimiters, _), rows in _rows(_distinct(texts)).items():
            for bodies in _divide(rows, delimiters):
                pairs = zip(bodies, delimiters, strict=True)
                found.add("".join(body + delimiter for body, delimiter in pairs))
        return cls(tuple(sorted(found)))

    def match_all(self, texts: Sequence[str]) -> list[int]:
        """Templates of lines, `UNSEEN` (−1) for none; lines with the same key have the same one."""
        keys = digit_free_all(texts)
        recent = self._recent
        found = [recent.get(key) for key in keys]
        return [
            self.match_key(key) if template is None else template
            for key, template in zip(keys, found, strict=True)
        ]

    def match_key(self, key: bytes) -> int:
        """The template of a line whose key this is."""
        template = self._recent.get(key)
        if template is not None:
            return template
        template = self._older.get(key)
        if template is None:
            template = self._find(key)
        if len(key) <= CACHED_KEY:
            if len(self._recent) >= CACHED_KEYS // 2:
                object.__setattr__(self, "_older", self._recent)
                object.__setattr__(self, "_recent", {})
            self._recent[key] = template
        return template

    def _find(self, key: bytes) -> int:
        """The template with the most constants among those that agree; of equals the first."""
        parts = take_apart(key.decode("utf-8", "replace"))
        root = self._roots.get(parts.delimiters)
        if root is None:
            return UNSEEN
        statement = statement_start(parts.bodies, parts.delimiters)
        nodes = [(0, root)]
        for i, body in enumerate(parts.bodies):
            word = i >= statement and body != WILDCARD and _LETTER.search(body) is not None
            onward = []
            for constants, node in nodes:
                constant = node.constants.get(body)
                if constant is not None:
                    onward.append((constants + 1, constant))
                if node.wildcard is not None and not word:
                    onward.append((constants, node.wildcard))
            nodes = onward
        ends = [(-constants, node.template) for constants, node in nodes]
        return min(ends)[1] if ends else UNSEEN

    def to_json(self) -> dict[str, Any]:
        return {"texts": list(self.texts)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Templates:
        texts = value.get("texts")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ModelError("templates: expected a list of strings under 'texts'; train again")
        return cls(tuple(texts))
