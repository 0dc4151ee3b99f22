"""What was like an event that training never showed, and how many came, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .explanation import Attribution, Explanation
from .unseen import Nearest
from .words import bar, clean, cut, ordinal, percent, plain

_WORDS = 8  # of those that differ


def unseen_rows(explanation: Explanation) -> list[tuple[str, float]]:
    """What the statistic of `new` is the sum of, as bars take it: in nats."""
    unseen = explanation.unseen
    if unseen is None:
        return []
    rows = [(f"this one, the {ordinal(unseen.count)}", unseen.this)]
    if unseen.count > 1:
        rows.insert(0, (f"the {unseen.count - 1:,} before it", unseen.before))
    return [(name, value * math.log(2.0)) for name, value in rows]


def unseen_question(explanation: Explanation) -> str:
    """What the rows add up to."""
    counted = "Unseen events of the stream, or of its block of time"
    return f"{counted}, log2(1 + their number) = {explanation.statistic:.1f}"


def unseen_lines(explanation: Explanation) -> list[str]:
    """The statistic of `new`, split; nothing for other detectors."""
    rows = unseen_rows(explanation)
    if not rows:
        return []
    largest = max(value for _, value in rows)
    return [
        unseen_question(explanation),
        *(f"{bar(value, largest)} {name}" for name, value in rows),
    ]


def nearest_lines(attribution: Attribution) -> list[str]:
    """The known events nearest to an unseen one; nothing where the event is known."""
    if not attribution.nearest:
        return []
    lines = ["Known events nearest to it, by their words"]
    for near in attribution.nearest:
        lines.append(f"  {percent(near.alike):>7}  {plain(near.event)}")
        lines += [f"           {said}" for said in differing(near)]
    return [cut(line) for line in lines]


def differing(near: Nearest) -> list[str]:
    """What tells the unseen event from a known one."""
    both = (("it adds", near.added), ("it leaves out", near.left_out))
    said = [f"{what} {_listed(words)}" for what, words in both if words]
    return said or ["the same words, in another form"]


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _WORDS} more" if len(words) > _WORDS else ""
    return ", ".join(map(clean, words[:_WORDS])) + more
