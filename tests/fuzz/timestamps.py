"""Time stamps: which format lines have, the same read in it, and single fields."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from offscript.model.stamp_formats import FORMATS
from offscript.model.timestamps import TimeReader, find_format, parse_time

SEEDS = [
    b"2026-03-02 12:00:00.123 +01:00 a\n2026-03-02T12:00:00Z b",
    b"Mon Mar  2 12:00:00 CET 2026 a\n[02/Mar/2026:12:00:00 +0100] b\n3/2/2026, 11:59:59 PM c",
    b"081109 203615 1 INFO a\n1772452800123 b\nI0302 12:00:00.123 c\nMar  2 12:00:00 d\n12:00:00 e",
]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Reads the lines in every format."""
    readers = [TimeReader(f"{kind}@{place}") for kind in FORMATS for place in (0, 2)]

    def read(given: bytes) -> None:
        lines = given.decode("utf-8", "replace").split("\n")
        found = find_format(lines)
        for reader in [*readers, *([TimeReader(found)] if found else [])]:
            rows, moments, rest = reader.read(lines)
            assert len(rows) == len(moments) == len(rest)
            assert not any(map(math.isinf, moments))
        for line in lines:
            parse_time(line)
            try:
                parse_time(json.loads(line))
            except (ValueError, RecursionError):
                """It is no JSON."""

    return read
