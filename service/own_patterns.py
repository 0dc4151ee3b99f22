"""Patterns of what is secret at one place, from a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..model.errors import InputError

OwnPatterns = tuple[re.Pattern[str], ...]


def read_patterns(path: Path) -> OwnPatterns:
    """The regular expressions of a file, one a line; empty lines and those that begin with `#` are
    none. InputError for one that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read the patterns of {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the patterns of {path}: expected UTF-8, {error}") from error
    patterns = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            patterns.append(re.compile(line))
        except (re.error, RecursionError, OverflowError) as error:
            raise InputError(
                f"{path}, line {number}: expected a regular expression, got '{line}': {error}"
            ) from error
        if patterns[-1].match(""):
            raise InputError(
                f"{path}, line {number}: '{line}' finds a secret in an empty line, and so in all: "
                "say what stands there at least"
            )
    return tuple(patterns)


def redact_own(lines: Sequence[str], own: OwnPatterns) -> Sequence[str]:
    """The lines without what the patterns find: of one that has a group `secret` that, of another
    its first group, else all of it. Each line alone, as a pattern may find a line end.
    """
    for pattern in own:
        lines = [pattern.sub(_redact, line) for line in lines]
    return lines


def _redact(match: re.Match[str]) -> str:
    """Without its group `secret` or else its first one, or where it has none without all of it."""
    group: int | str = "secret" if "secret" in match.re.groupindex else min(1, match.re.groups)
    begin, end = match.span(group)
    if begin < 0:  # a group that has no part in this match
        begin, end = match.span()
    if begin == end:
        return match[0]
    return match.string[match.start() : begin] + "<redacted>" + match.string[end : match.end()]
