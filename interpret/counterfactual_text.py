"""What would have been, in words: for the terminal and for the page."""

from __future__ import annotations

import math
import textwrap

from .counterfactual import Following, Instead, Repair, Replacement
from .explanation import Explanation
from .sentence import where
from .words import WIDTH, bits, cut, percent, plain, quoted

_SHOWN = 5  # events after, those that would have changed most …
_CHANGED = 0.35  # … by at least half a bit, in nats


def what_if(explanation: Explanation) -> list[str]:
    """Both questions with their answers; nothing if neither was asked."""
    lines = []
    if other := explanation.instead:
        lines += _wrapped(f"{instead_words(explanation, other)} {after_words(other)}")
        for event in changed(other):
            was, would = bits(event.surprisal), bits(event.instead)
            lines.append(f"  {would:>7} bits, not {was:>5}: {plain(event.event)}, {ahead(event)}")
    if change := explanation.repair:
        lines += _wrapped(repair_words(change))
        lines += [f"    {line}" for each in change.replacements for line in _replaced(each)]
    return ["What if", *map(cut, lines)] if lines else []


def instead_words(explanation: Explanation, other: Instead) -> str:
    """What would have come of the alert with the expected event."""
    observed = explanation.attributions[0].observed.event
    said = f"With {quoted(other.event)} ({percent(other.probability)}) for {quoted(observed)}: "
    if other.raised is None:
        return f"{said}{bits(other.surprisal)} bits; what the other detectors say is not redone."
    verdict = "still an alert" if other.raised else "no alert"
    if explanation.detector == "new":
        return f"{said}{verdict} of this detector."
    return f"{said}{verdict}, {bits(other.statistic)} bits (limit {bits(explanation.limit)})."


def after_words(other: Instead) -> str:
    """How surprising the events after it were, and would have been."""
    after = other.following
    if not after:
        return "No later event of the stream is at hand."
    was, would = sum(e.surprisal for e in after), sum(e.instead for e in after)
    many = "The event" if len(after) == 1 else f"The {len(after)} events"
    said = f"{many} after it would have surprised by {bits(would)} bits, not {bits(was)}"
    if not math.isfinite(other.limit):  # this model has no detector of single events
        return f"{said}."
    odd = sum(e.surprisal > other.limit for e in after)
    left = sum(e.instead > other.limit for e in after)
    verdict = ""
    if left > odd:
        verdict = " What came after goes with what came."
    elif left < odd:
        verdict = " What came after is odd because of it."
    return f"{said}; past the limit of {bits(other.limit)} for one: {left}, not {odd}.{verdict}"


def changed(other: Instead) -> list[Following]:
    """The events after it whose surprise would have been another, in order; the most changed."""
    listed = [e for e in other.following if abs(e.instead - e.surprisal) >= _CHANGED]
    listed.sort(key=lambda e: -abs(e.instead - e.surprisal))
    return sorted(listed[:_SHOWN], key=lambda e: e.after)


def ahead(event: Following) -> str:
    """How far on an event lies."""
    return "right after" if event.after == 1 else f"{event.after} events after"


def repair_words(change: Repair) -> str:
    """Whether other events before would have made it normal."""
    limit = f"(limit {bits(change.limit)})"
    if not change.replacements:
        return (
            "No change of up to three events before it was found that makes it normal and no "
            f"other odd: {bits(change.surprisal)} bits at best {limit}."
        )
    many = len(change.replacements)
    return (
        f"It would have been normal, {bits(change.surprisal)} bits {limit}, if "
        f"{'one event' if many == 1 else f'{many} events'} before it had been "
        f"{'another' if many == 1 else 'others'}:"
    )


def _replaced(each: Replacement) -> list[str]:
    name = f"{plain(each.by)} ({percent(each.probability)} there)"
    return [f"{name}, {where(each)}", f"  for {plain(each.event)}"]


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(
        words, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
