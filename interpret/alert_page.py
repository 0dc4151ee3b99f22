"""The page of one alert: what the terminal says, with figures, in one file to keep or to send."""

from __future__ import annotations

import math

from .explanation import Attribution, Evidence, Explanation, Outcome
from .markup import Markup, join, tag
from .page import facts, note, page, prose, section, signed_bars, table, waterfall
from .sentence import sentence, where
from .svg import Node, arcs, bar, strip
from .text import by_path, checked, looks, path_shares, question
from .words import SPOKEN, bits, clean, clock, date, ordinal, percent, signed

_ROW, _GAP = 3.25, 1.75  # em: height of an event on the ribbon, and of events left out
_WIDTH = 5.0  # em: room for the arcs
_SPAN = 12  # drift, level: events listed
_COUNTS = 12  # counts: events listed
_NOTABLE = 0.02  # share of the surprise below which an event has no bar of its own


def alert_page(explanation: Explanation) -> str:
    """A static HTML page without script; all that comes from the log is escaped."""
    title = f"Alert {clean(explanation.alert)[:12]}"
    head = join(
        [
            tag("h1", f"Offscript · {title} · why it was raised"),
            tag("p", prose(" ".join(sentence(explanation))), class_="lead"),
            _facts(explanation),
            *(_line(explanation.text) if explanation.text else ()),
            *(
                tag("p", prose(clean(warning)), class_="warning")
                for warning in explanation.warnings
            ),
        ]
    )
    sections = []
    if explanation.counts:
        sections.append(_counts(explanation))
    if explanation.parts:
        sections.append(_parts(explanation))
    if explanation.span:
        sections.append(_span(explanation))
    if len(explanation.attributions) == 1:
        sections += _attribution(explanation.attributions[0], level=2)
    else:
        for number, attribution in enumerate(explanation.attributions):
            sections.append(_folded(attribution, opened=number == 0))
    return page(f"{title} · Offscript", head, sections, _foot(explanation))


def _facts(explanation: Explanation) -> Markup:
    named = [
        ("Detector", explanation.detector),
        ("Score", f"{explanation.score:.1f}, threshold {explanation.threshold:.1f}"),
        ("Stream", clean(explanation.stream) or "the only one"),
        ("Time", date(explanation.time) or "unknown"),
        ("Alert", clean(explanation.alert)),
        ("Model", clean(explanation.model)[:12]),
    ]
    return facts(named)


def _line(line: str | None) -> tuple[Markup, ...]:
    return (tag("pre", clean(line)),) if line else ()


def _name(event: str) -> Markup:
    """An event by its whole name, or in words where it is none of the log's."""
    return tag("span", SPOKEN[event]) if event in SPOKEN else tag("code", clean(event))


def _folded(attribution: Attribution, *, opened: bool) -> Markup:
    """One of several events, which unfolds under a heading that names it."""
    moment = "" if math.isnan(attribution.time) else f", {clock(attribution.time)}"
    about = tag("h2", _name(attribution.observed.event), moment)
    return tag(
        "details",
        tag("summary", about),
        *_line(attribution.line),
        *_attribution(attribution, level=3),
        open="" if opened else None,
    )


def _attribution(attribution: Attribution, *, level: int) -> list[Markup]:
    return [
        section("The evidence in the stream", *_ribbon(attribution), level=level),
        section("The surprise, part by part", _surprise(attribution), level=level),
        section("Expected instead", *_expected(attribution), level=level),
        section("Evidence", *_evidence(attribution, level + 1), level=level),
    ]


def _ribbon(attribution: Attribution) -> tuple[Markup, ...]:
    """Evidence, the last event and the observed one, in the order of the stream."""
    evidence = {item.source: item for item in attribution.evidence}
    shown = sorted({*evidence, attribution.index - 1, attribution.index})
    nodes, rows = [], []
    for before, index in zip([shown[0], *shown], shown, strict=False):
        if index - before > 1:
            left_out = index - before - 1
            nodes.append(Node(_GAP, None))
            many = f"{left_out:,} other event{'s' if left_out > 1 else ''}"
            rows.append(tag("li", many, class_="gap", style=f"height:{_GAP}em"))
        item = evidence.get(index)
        nodes.append(Node(_ROW, item.value if item else None))
        rows.append(_row(attribution, index, item))
    figure = arcs(
        "Arcs from the evidence to the event explained",
        f"{question(attribution)}: "
        + "; ".join(
            f"{clean(item.event)}, {where(item)}, {signed(item.value)}"
            for item in attribution.evidence
        ),
        nodes,
        len(nodes) - 1,
        _WIDTH,
    )
    legend = tag(
        "p",
        tag("span", class_="key"),
        "speaks for what was expected, ",
        tag("span", class_="key against"),
        "speaks against it; the thicker, the more bits",
        class_="note",
    )
    return legend, tag("div", figure, tag("ol", *rows), class_="ribbon")


def _row(attribution: Attribution, index: int, item: Evidence | None) -> Markup:
    style = f"height:{_ROW}em"
    if index == attribution.index:
        observed, told = attribution.observed.event, _told(attribution.line)
        surprise = f"{bits(attribution.surprise.surprisal)} bits"
        return _listed(observed, told, surprise, "observed", style)
    if item is None:
        return _listed(attribution.last, "right before", "", None, style)
    return _listed(
        item.event, f"{where(item)} {_told(item.line)}", f"{signed(item.value)} bits", None, style
    )


def _listed(event: str, told: str, value: str, class_: str | None, style: str) -> Markup:
    text = tag("span", _name(event), tag("small", told), class_="event")
    return tag("li", text, tag("span", value, class_="bits"), class_=class_, style=style)


def _told(line: str | None) -> str:
    return clean(line) if line else ""


def _surprise(attribution: Attribution) -> Markup:
    surprise, observed = attribution.surprise, attribution.observed
    rows: list[tuple[str, float]] = [
        (join([_name(observed.event), " by its share of all events"]), surprise.anywhere),
        (join(["after ", _name(attribution.last)]), surprise.last),
    ]
    rest = surprise.evidence
    for item in attribution.evidence:
        if item.lag > 1 and abs(item.surprise) >= _NOTABLE * surprise.surprisal:
            rows.append((join([_name(item.event), f" {where(item)}"]), item.surprise))
            rest -= item.surprise
    rows.append(("all other events, and heads at rest", rest))
    caption = (
        "How many bits each part adds to the surprise (−log₂ of the probability): what the event "
        "costs anywhere, what the last event makes of that, what earlier ones add"
    )
    return waterfall(caption, rows, ("Surprise", surprise.surprisal))


def _expected(attribution: Attribution) -> tuple[Markup, ...]:
    observed = attribution.observed
    listed = [outcome.event for outcome in attribution.expected]
    outcomes = [*attribution.expected, *([observed] if observed.event not in listed else [])]
    highest = max(outcome.probability for outcome in outcomes)
    rows = [
        (
            _outcome(outcome, came=outcome.event == observed.event),
            bar(0.0, outcome.probability, 0.0, highest),
            percent(outcome.probability),
            percent(outcome.base_rate),
            f"{outcome.support:,}",
        )
        for outcome in outcomes
    ]
    about = join(
        [
            "Probability here, share of all events anywhere, and how often it came right after ",
            _name(attribution.last),
            " in training",
        ]
    )
    head = ("Event", "", "here", "anywhere", "support")
    return tag("p", about, class_="note"), table("The most probable events", head, rows)


def _outcome(outcome: Outcome, *, came: bool) -> Markup:
    if not came:
        return _name(outcome.event)
    return tag("strong", _name(outcome.event), f" ← came, {ordinal(outcome.rank)}")


def _evidence(attribution: Attribution, level: int) -> list[Markup]:
    parts = [note(question(attribution))]
    for item in attribution.evidence:
        against = "" if item.rank else "; spoke against"
        check = [tag("p", checked(item.check, attribution.total))] if item.check else []
        heading = tag(f"h{level}", _name(item.event), tag("span", f"{signed(item.value)} bits"))
        told = tag("p", f"{where(item)}{against}; {path_shares(item)}")
        parts.append(tag("article", heading, told, *_line(item.line), *check, class_="evidence"))
    rows: list[tuple[str, float]] = [
        (join([_name(item.event), f" {where(item)}"]), item.value) for item in attribution.evidence
    ]
    rows += [("all other events, and heads at rest", attribution.others)]
    rows += [("the average case", attribution.base)]
    parts.append(waterfall("All of it together", rows, ("Total", attribution.total)))
    paths = by_path(attribution)
    if len(paths) > 1:
        parts.append(signed_bars("By path, beyond the average case", paths))
    if lines := looks(attribution):
        parts.append(note("Why the heads looked there"))
        parts.append(tag("ul", *(tag("li", line) for line in lines)))
    return parts


def _span(explanation: Explanation) -> Markup:
    in_order = sorted(explanation.span, key=lambda part: -part.lag)
    worst = {attribution.index for attribution in explanation.attributions}
    marked = [place for place, part in enumerate(in_order) if part.index in worst]
    drift = explanation.detector == "drift"
    what = "Excess of surprise by event" if drift else "Share of the mean by event"
    figure = strip(
        what,
        f"{len(in_order):,} events in the order of the stream; together {bits(explanation.total)} "
        "bits. Those explained below stand out.",
        [part.value for part in in_order],
        marked,
    )
    listed, rest = explanation.span[:_SPAN], explanation.span[_SPAN:]
    rows: list[tuple[str, float]] = [
        (
            join([_name(p.event), f", {p.lag:,} before the last" if p.lag else ", the last"]),
            p.value,
        )
        for p in listed
    ]
    if rest:
        rows.append((f"{len(rest):,} other events", sum(part.value for part in rest)))
    if explanation.earlier:
        rows.append(("events no longer at hand", explanation.earlier))
    caption = f"Largest first; together {bits(explanation.total)} bits"
    return section(what, figure, signed_bars(caption, rows))


def _parts(explanation: Explanation) -> Markup:
    largest = max(part.value for part in explanation.parts)
    rows = [
        (
            part.detector,
            bar(0.0, part.value, 0.0, largest),
            f"{part.score:.1f}",
            percent(part.value / explanation.total),
        )
        for part in explanation.parts
    ]
    caption = f"All detectors together, {explanation.total:.1f}: the root of the scores' squares"
    return section("By detector", table(caption, ("Detector", "", "score", "share"), rows))


def _counts(explanation: Explanation) -> Markup:
    listed = explanation.counts[:_COUNTS]
    most = max(max(part.count, part.expected) for part in listed) or 1.0
    rows = [
        (
            _name(part.event),
            join([bar(0.0, part.count, 0.0, most), bar(0.0, part.expected, 0.0, most, pale=True)]),
            f"{part.count:,}",
            f"{part.expected:,.4g}",
            percent(part.value / explanation.total) if explanation.total else "",
        )
        for part in listed
    ]
    left = len(explanation.counts) - len(listed)
    return section(
        "Counts beside those of the nearest normal stream",
        table(
            "The upper bar is what came, the lower what was expected",
            ("Event", "", "count", "expected", "share"),
            rows,
        ),
        *([note(f"{left:,} other events")] if left else []),
    )


def _foot(explanation: Explanation) -> Markup:
    return join(
        [
            tag(
                "p",
                f"The parts add up within {explanation.completeness_error:.0e}. Recomputed: "
                f"{explanation.recomputed:.5f}; served: {explanation.served:.5f}.",
            ),
            tag(
                "p",
                "An explanation says what the model's surprise rests on, exactly. The cause "
                "in the world is for you to judge.",
            ),
        ]
    )
