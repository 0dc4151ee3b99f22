"""Why the heads looked where they did, in words: for the terminal and for the page."""

from __future__ import annotations

from .explanation import Attribution, ContentPair, Look, Part
from .looks import TOLD
from .words import percent, quoted

_NOTABLE = 0.1  # share of the largest pair below which one is not named
_CARRIED = 0.05  # share of a piece of evidence below which a path's looks are not told
_SHOWN = 0.05  # what is less rounds to zero, and is not named either


def looks(attribution: Attribution) -> list[tuple[str, list[str]]]:
    """Of the heads at the first pieces of evidence: where each looked, and its content by pairs."""
    told = {}
    for item in attribution.evidence[:TOLD]:
        path = next((path for path in item.paths if path.looks), None)
        if path is None or abs(path.value) < _CARRIED * abs(item.value):
            continue  # where heads looked says nothing of what the event brought
        for look in path.looks:
            told[_looked(look)] = _content(look)
    return list(told.items())


def _looked(look: Look) -> str:
    reader = "the last event" if look.reader == 1 else f"{look.reader} back"
    source = "itself" if look.source == look.reader else f"{look.source} back"
    return (
        f"{look.head} at {reader} looked at {source} with {percent(look.attention)}: "
        f"content {_score(look.content)}, distance {_score(look.distance)}, "
        f"rest {_score(look.sink)}"
    )


def _content(look: Look) -> list[str]:
    """What is named and what is left add up to it; an earlier version explains it no further."""
    if not look.pairs:
        return []
    least = max(_SHOWN, _NOTABLE * abs(look.pairs[0].value))
    named = [pair for pair in look.pairs if abs(pair.value) >= least]
    left = look.content - sum(pair.value for pair in named)
    lines = [f"{_score(pair.value)} {_because(look, pair)}" for pair in named]
    if lines and abs(left) >= _SHOWN:
        lines.append(f"{_score(left)} by all other pairs")
    return lines


def _because(look: Look, pair: ContentPair) -> str:
    here = _read(pair.query, look.reader, "before", "here")
    there = _read(pair.key, look.source, "before it", "there")
    if not (here or there):
        return "whatever the events are"
    if not here:
        return f"because of {there}, whatever is here"
    return f"because of {there}, and {here}" if there else f"because of {here}, wherever it looks"


def _read(part: Part, at: int, before: str, place: str) -> str:
    """A part of what was read at the event `at` back, which is this place; nothing for biases."""
    if part.event is None or part.lag is None:
        return ""
    name, steps = quoted(part.event), part.lag - at
    if part.head is None:
        return f"{name} {place}"
    if not steps:
        return f"{name} {place}, by way of {part.head}"
    many = "one" if steps == 1 else f"{steps}"
    return f"{name} {many} {before}, which {part.head} had brought {place}"


def _score(value: float) -> str:
    """A score of attention, not in bits: its exponential is what is compared."""
    return f"{value:+.1f}".replace("-", "−")
