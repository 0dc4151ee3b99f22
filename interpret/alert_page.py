"""The page of one alert: what the terminal says, with figures, in one file to keep or to send."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .attribution_page import attribution_sections, event_name, raw_line
from .counterfactual_page import what_if_section
from .explanation import Attribution, Explanation, Similar
from .markup import Markup, join, tag
from .page import facts, note, page, prose, section, signed_bars, table
from .sentence import sentence
from .svg import bar, strip
from .unseen_text import unseen_question, unseen_rows
from .words import bits, clean, clock, date, percent

_SPAN = 12  # drift, level: events listed
_COUNTS = 12  # counts: events listed


def alert_page(explanation: Explanation) -> str:
    """A static HTML page without script; all that comes from the log is escaped."""
    title = f"Alert {clean(explanation.alert)[:12]}"
    head = join(
        [
            tag("h1", f"Offscript · {title} · why it was raised"),
            tag("p", prose(" ".join(sentence(explanation))), class_="lead"),
            _facts(explanation),
            *raw_line(explanation.text),
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
    if rows := unseen_rows(explanation):
        caption = unseen_question(explanation)
        sections.append(section("The statistic", signed_bars(caption, rows)))
    if len(explanation.attributions) == 1:
        sections += attribution_sections(explanation.attributions[0], level=2)
    else:
        for number, attribution in enumerate(explanation.attributions):
            sections.append(_folded(attribution, opened=number == 0))
    sections += what_if_section(explanation)
    if explanation.similar:
        sections.append(_similar(explanation.similar))
    return page(f"{title} · Offscript", head, sections, _foot(explanation))


def _facts(explanation: Explanation) -> Markup:
    named = [
        ("Detector", explanation.detector),
        ("Score", f"{explanation.score:.1f}, threshold {explanation.threshold:.1f}"),
        ("Stream", clean(explanation.stream) or "the only one"),
        ("Time", date(explanation.time) or "unknown"),
        ("Alert", clean(explanation.alert)),
        ("Model", f"{clean(explanation.model_name)} {clean(explanation.model)[:12]}".strip()),
    ]
    return facts(named)


def _folded(attribution: Attribution, *, opened: bool) -> Markup:
    """One of several events, which unfolds under a heading that names it."""
    moment = "" if math.isnan(attribution.time) else f", {clock(attribution.time)}"
    about = tag("h2", event_name(attribution.observed.event), moment)
    return tag(
        "details",
        tag("summary", about),
        *raw_line(attribution.line),
        *attribution_sections(attribution, level=3),
        open="" if opened else None,
    )


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
            join([event_name(p.event), f", {p.lag:,} before the last" if p.lag else ", the last"]),
            p.value,
        )
        for p in listed
    ]
    if rest:
        rows.append((f"{len(rest):,} other events", sum(part.value for part in rest)))
    if explanation.earlier:
        rows.append((explanation.unlisted, explanation.earlier))
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
            event_name(part.event),
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


def _similar(similar: Sequence[Similar]) -> Markup:
    rows = [
        (
            tag("code", clean(other.alert)[:12]),
            date(other.time) or "unknown",
            clean(other.stream) or "the only one",
            f"{other.count:,}",
            other.status,
            "the same" if other.same else ", ".join(map(clean, other.evidence)),
            "; ".join(clean(f"{said.by}: {said.comment}".strip(": ")) for said in other.feedback),
        )
        for other in similar
    ]
    caption = "Those for the same reason first, then the newest, with what was said of each"
    head = ("Alert", "first seen", "stream", "times", "status", "because of", "said")
    return section(
        "The same kind of alert before or since", table(caption, head, rows, class_="listing")
    )


def _foot(explanation: Explanation) -> Markup:
    return join(
        [
            tag(
                "p",
                f"The parts add up within {explanation.completeness_error:.0e}. "
                f"{'Added up' if explanation.parts else 'Recomputed'}: "
                f"{explanation.recomputed:.5f}; served: {explanation.served:.5f}.",
            ),
            tag(
                "p",
                "An explanation says what the model's surprise rests on, exactly. The cause "
                "in the world is for you to judge.",
            ),
        ]
    )
