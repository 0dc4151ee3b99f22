"""The page of two models compared: events, heads and rules that differ, in one file to keep."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .diff import Change, Diff, HeadPair
from .diff_text import brief, times
from .markup import Markup, join, tag
from .page import facts, note, page, section, table
from .svg import bar
from .words import clean, signed

_NAME = 60  # characters of an event's name in a rule
_WHOLE = 300  # and where it is all that is told
_LISTED = 12  # events that only one model knows, before the rest is folded


def diff_page(found: Diff, alerts: Markup) -> str:
    """A static HTML page without script; all that comes from the logs is escaped.

    `alerts` is a section on what the difference does to alerts.
    """
    title = f"Models {_model(found.before)} → {_model(found.after)}"
    head = join(
        [
            tag("h1", f"Offscript · {title} · what differs"),
            tag("p", _opening(found), class_="lead"),
            _facts(found),
        ]
    )
    sections = []
    if found.lost or found.new:
        sections.append(_events(found))
    if found.heads:
        sections.append(_heads(found.heads))
    if found.shared:
        sections += [
            _rules(found, "The direct path: last → next", found.bigrams),
            _rules(found, "Skip-trigrams: earlier … last → next", found.skips),
        ]
    foot = tag(
        "p",
        f"Both models were read on {found.windows:,} held-out windows of the two, over the events "
        "that both know. Values in bits; names without the beginning that most events share.",
    )
    return page(f"{title} · Offscript", head, [*sections, alerts], foot)


def _model(sha256: str) -> str:
    return clean(sha256)[:12]


def _opening(found: Diff) -> str:
    if not found.shared:
        return "No kind of event is known to both models: there are no rules to compare."
    changes = [*found.bigrams, *found.skips]
    if not changes:
        return "No rule of the direct path or of the heads differs by a bit."
    kinds = [change.kind for change in changes]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return f"Of the rules that come up most, {len(changes)} differ by a bit or more: {counted}."


def _facts(found: Diff) -> Markup:
    return facts(
        [
            ("First model", _model(found.before)),
            ("Second model", _model(found.after)),
            ("Events known to both", f"{found.shared:,} kinds"),
            ("Only to the first", f"{len(found.lost):,}"),
            ("Only to the second", f"{len(found.new):,}"),
        ]
    )


def _events(found: Diff) -> Markup:
    return section(
        "Events that one of them does not know",
        *_known(found, "Only the first model", found.lost),
        *_known(found, "Only the second model", found.new),
    )


def _known(found: Diff, who: str, names: tuple[str, ...]) -> list[Markup]:
    """The most frequent ones in sight, the others folded."""
    if not names:
        return []
    parts = [note(f"{who} knows, most frequent first:"), _names(found, names[:_LISTED])]
    if len(names) > _LISTED:
        rest = tag("summary", f"{len(names) - _LISTED:,} more")
        parts.append(tag("details", rest, _names(found, names[_LISTED:])))
    return parts


def _names(found: Diff, names: Iterable[str]) -> Markup:
    return tag("ul", *(tag("li", _name_of(found, name, _WHOLE)) for name in names))


def _heads(pairs: tuple[HeadPair, ...]) -> Markup:
    most = max(0.0, *(loss for pair in pairs for loss in (pair.loss_before, pair.loss_after)))
    least = min(0.0, *(loss for pair in pairs for loss in (pair.loss_before, pair.loss_after)))
    rows = [
        (
            join([tag("code", f"{pair.before} → {pair.after}"), tag("br"), _roles(pair)]),
            f"{pair.alike:.2f}".replace("-", "−"),
            join([bar(0.0, loss, least, most) for loss in (pair.loss_before, pair.loss_after)]),
            _bits(pair.loss_before),
            _bits(pair.loss_after),
        )
        for pair in pairs
    ]
    caption = (
        "Each head of the first model beside the one of the second that brings what is most like "
        "it (alike, 1: the same), and how many bits an event costs more without it: above in the "
        "first model, below in the second"
    )
    return section("Heads", table(caption, ("Head", "alike", "", "before", "after"), rows))


def _roles(pair: HeadPair) -> Markup:
    same = pair.role_before == pair.role_after
    return tag("small", pair.role_before if same else f"{pair.role_before} → {pair.role_after}")


def _rules(found: Diff, title: str, changes: tuple[Change, ...]) -> Markup:
    if not changes:
        return section(title, note("None differs by a bit."))
    ends = [0.0, *(value for each in changes for value in (each.before, each.after))]
    low, high = min(ends), max(ends)
    rows = [
        (
            join([_rule(found, change), tag("br"), tag("small", _became(change))]),
            bar(change.before, change.after, low, high),
            signed(change.before),
            signed(change.after),
        )
        for change in changes
    ]
    caption = (
        "Bits that the rule adds to the logit of what follows, from the first model to the second "
        "(blue: they rise, orange: they fall), and how often the training of each showed it; what "
        "comes up most, first"
    )
    head = ("Rule", "", "before", "after")
    return section(title, table(caption, head, rows, class_="bars changes"))


def _rule(found: Diff, change: Change) -> Markup:
    earlier = [] if change.earlier is None else [_name_of(found, change.earlier), " … "]
    said = [_name_of(found, change.last), " → ", _name_of(found, change.following)]
    return join([*earlier, *said])


def _became(change: Change) -> str:
    before, after = times(change.support_before), times(change.support_after)
    return f"{change.kind}; in training {before} → {after}"


def _bits(nats: float) -> str:
    return f"{nats / math.log(2.0):.3f}".replace("-", "−")


def _name_of(found: Diff, event: str, width: int = _NAME) -> Markup:
    return tag("code", brief(found, event, width))
