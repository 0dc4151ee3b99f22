"""The first paragraph of an explanation: what happened, what was expected, and what says so."""

from __future__ import annotations

import math
import textwrap

from .counterfactual import Replacement
from .explanation import Attribution, CountShare, Evidence, Explanation, Outcome
from .words import (
    SPOKEN,
    WIDTH,
    ago,
    bits,
    came,
    chance,
    clock,
    ordinal,
    percent,
    quoted,
    were,
)

_RARE = 0.05  # base rate below which an event is called rare


def sentence(explanation: Explanation) -> list[str]:
    """What happened and why, wrapped; values in bits."""
    if explanation.detector == "counts":
        said = _counts_sentence(explanation)
    elif explanation.parts:
        said = _parts_sentence(explanation)
    elif explanation.detector in ("drift", "level"):
        said = _span_sentence(explanation)
    else:
        said = _event_sentence(explanation, explanation.attributions[0])
    return textwrap.wrap(said, WIDTH, break_long_words=True, break_on_hyphens=False)


def _event_sentence(explanation: Explanation, attribution: Attribution) -> str:
    observed, surprise, unseen = attribution.observed, attribution.surprise, explanation.unseen
    saw = f"saw {quoted(observed.event)} ({chance(observed.probability)})"
    if explanation.detector == "end":
        saw = f"but the stream ended ({chance(observed.probability)})"
    rare = f"because {_it(observed)} is rare anywhere"
    parts = [
        f"{bits(surprise.anywhere)} {rare if observed.base_rate < _RARE else 'as anywhere'}",
        f"{bits(surprise.last)} after {quoted(attribution.last)}",
    ]
    rest = surprise.evidence
    earlier = [item for item in attribution.evidence if item.lag > 1]
    for item in sorted(earlier, key=lambda item: -item.surprise)[:2]:
        if item.surprise >= 0.1 * surprise.surprisal:
            parts.append(f"{bits(item.surprise)} because of {quoted(item.event)} {where(item)}")
            rest -= item.surprise
    if round(rest / math.log(2.0), 1):
        parts.append(f"{bits(rest)} from the rest")
    split = ", ".join(parts)
    said = f"{_expectation(attribution)}, {saw}. Surprise {bits(surprise.surprisal)} bits: {split}."
    if unseen is None or unseen.count == 1:
        return said
    return f"{said} It is the {ordinal(unseen.count)} unseen event that was counted here."


def _expectation(attribution: Attribution) -> str:
    against = attribution.against
    together = percent(attribution.against_probability)
    if len(against) == 1:
        return f"Expected {quoted(against[0])} ({together})"
    listed = [quoted(event) for event in against[:2]]
    if len(against) > 3:
        listed.append(f"{len(against) - 2} others")
    elif len(against) == 3:
        listed.append(quoted(against[2]))
    return f"Expected {', '.join(listed[:-1])} or {listed[-1]} ({together} together)"


def _it(outcome: Outcome) -> str:
    return "it" if outcome.event in SPOKEN else quoted(outcome.event)


def _span_sentence(explanation: Explanation) -> str:
    total, limit = bits(explanation.total), bits(explanation.limit)
    if explanation.detector == "drift":
        # Earlier versions wrote of the span's length only what was at hand.
        known = explanation.events or not explanation.earlier
        many = _events(explanation.events or len(explanation.span))
        said = (
            f"Over {'' if known else 'more than '}{many} this stream was {total} bits more "
            f"surprising than the model expects of itself (limit {limit})"
        )
    else:
        said = (
            "This stream is finished, and its events were more surprising than usual all along, by "
            f"{total} bits each (limit {limit})"
        )
    if explanation.earlier and not explanation.span:
        said += ", all of it in events no longer at hand"
    elif explanation.earlier:
        said += (
            f": {bits(explanation.total - explanation.earlier)} in the "
            f"{_events(len(explanation.span))} at hand, {bits(explanation.earlier)} in "
            f"{explanation.unlisted}"
        )
    worst = [part for part in explanation.span[:3] if part.value > 0.0]
    if not worst:
        return said + "."
    named = ", ".join(f"{quoted(part.event)} {bits(part.value)}" for part in worst)
    return f"{said}. Largest{' at hand' if explanation.earlier else ''}: {named}."


def _events(many: int) -> str:
    return f"{many:,} event{'' if many == 1 else 's'}"


def _parts_sentence(explanation: Explanation) -> str:
    first = explanation.attributions[0]
    named = ", ".join(f"{part.detector} {part.score:.1f}" for part in explanation.parts[:3])
    among = f" of the {_events(explanation.at_hand)} at hand"
    if not explanation.at_hand:
        among = " of what is at hand"
    elif explanation.at_hand >= explanation.events:
        among = ""
    return (
        "No detector alone is sure that something is wrong in this stream, but together "
        f"they are ({explanation.total:.1f}, limit {explanation.limit:.1f}): {named}. Most "
        f"surprising{among} was {quoted(first.observed.event)}, by "
        f"{bits(first.surprise.surprisal)} bits."
    )


def _counts_sentence(explanation: Explanation) -> str:
    said = (
        f"This stream is finished, and no normal stream has its counts (distance "
        f"{explanation.total:.3g}, limit {explanation.limit:.3g}): "
    )
    parts = [
        f"{quoted(part.event)} {came(part.count)}, {were(part.expected)}"
        f"{' expected' if index else ' expected in the nearest normal stream'}"
        for index, part in enumerate(_differing(explanation)[:3])
    ]
    return said + "; ".join(parts) + "."


def _differing(explanation: Explanation) -> tuple[CountShare, ...]:
    differing = tuple(p for p in explanation.counts if round(p.expected) != p.count)
    return differing or explanation.counts


def where(item: Evidence | Replacement) -> str:
    """How far back an event lies, in events and in time."""
    where = "right before" if item.lag == 1 else f"{item.lag} events before"
    if math.isnan(item.time):
        return where
    span = "" if math.isnan(item.seconds) else f", {ago(item.seconds)}"
    return f"{where} ({clock(item.time)}{span})"
