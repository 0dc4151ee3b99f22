"""Templates that are learned from any lines, and matched against any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from offscript.model.templates import UNSEEN, Templates

SEEDS = [
    b"user 12 logged in from 10.0.0.1\nuser 13 logged in from 10.0.0.2\nuser x",
    b"GET /a?b=1 \"x\" (1 of 2) [3]\nSELECT a, b FROM t WHERE c = 1\n<*> <*>\n'a b' 0xff UTC",
]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Learns the first half of the lines and matches all."""

    def learn(given: bytes) -> None:
        lines = given.decode("utf-8", "replace").split("\n")
        half = lines[: (len(lines) + 1) // 2]
        learned = Templates.learn(half)
        again = Templates.from_json(learned.to_json())
        found = learned.match_all(lines)
        assert found == [again.match_all([line])[0] for line in lines]
        assert UNSEEN not in found[: len(half)], "what was learned from is known"

    return learn
