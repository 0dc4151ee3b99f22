"""What would have been, on the page of an alert."""

from __future__ import annotations

from .attribution_page import event_name
from .counterfactual import Instead, Repair
from .counterfactual_text import after_words, ahead, changed, instead_words, repair_words
from .explanation import Explanation
from .markup import Markup, join, tag
from .page import prose, section, table
from .sentence import where
from .svg import bar
from .words import bits, percent


def what_if_section(explanation: Explanation) -> list[Markup]:
    """The section, where there was something to ask."""
    parts: list[Markup] = []
    if other := explanation.instead:
        parts.append(tag("p", prose(f"{instead_words(explanation, other)} {after_words(other)}")))
        parts += _after(other)
    if change := explanation.repair:
        parts.append(tag("p", prose(repair_words(change))))
        parts += _replacements(change)
    return [section("What if", *parts)] if parts else []


def _after(other: Instead) -> list[Markup]:
    listed = changed(other)
    if not listed:
        return []
    most = max(max(event.surprisal, event.instead) for event in listed)
    rows = [
        (
            join([event_name(event.event), f", {ahead(event)}"]),
            join(
                [
                    bar(0.0, event.surprisal, 0.0, most),
                    bar(0.0, event.instead, 0.0, most, pale=True),
                ]
            ),
            bits(event.surprisal),
            bits(event.instead),
        )
        for event in listed
    ]
    caption = (
        "The events after it that would have changed most; the lower bar is what would have been"
    )
    return [table(caption, ("Event", "", "bits", "instead"), rows)]


def _replacements(change: Repair) -> list[Markup]:
    if not change.replacements:
        return []
    rows = [
        (
            join([event_name(each.event), f" {where(each)}"]),
            event_name(each.by),
            percent(each.probability),
        )
        for each in change.replacements
    ]
    caption = "Probability: of the other event in this place"
    return [table(caption, ("Event before", "instead", "there"), rows, class_="listing")]
