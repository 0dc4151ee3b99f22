"""The figures of an alert's page, each alone."""

from __future__ import annotations

from .attribution_page import (
    GAP,
    ROW,
    SURPRISE,
    WIDTH,
    evidence_arcs,
    evidence_rows,
    figure_height,
    left_out,
    stops,
    surprise_rows,
)
from .counterfactual import Following, Instead
from .counterfactual_text import ahead, changed
from .drawing import LABEL, MARGIN, Row, alone, bars, placed, signed_rows, summed_rows, words
from .drawing import WIDTH as SHEET
from .explanation import Attribution, Explanation
from .markup import join
from .sentence import where
from .svg import EM
from .text import by_path, question
from .words import bits, clean, percent, plain, signed

_LISTED = 12  # events of a span, or counts
_NAME = 62  # characters of an event's name on the ribbon


def alert_figures(explanation: Explanation) -> dict[str, str]:
    """SVG files by name; of several events explained, those of each under its number."""
    figures = {}
    if explanation.span:
        figures["span"] = _span(explanation)
    if explanation.parts:
        about = f"All detectors together, {explanation.total:.1f}: the root of the scores' squares"
        rows = [
            Row(part.detector, 0.0, part.value, percent(part.value / explanation.total))
            for part in explanation.parts
        ]
        figures["detectors"] = bars("By detector", about, rows)
    if explanation.counts:
        figures["counts"] = _counts(explanation)
    if explanation.instead and (listed := changed(explanation.instead)):
        figures["after"] = _after(explanation.instead, listed)
    several = len(explanation.attributions) > 1
    for number, attribution in enumerate(explanation.attributions, start=1):
        for name, figure in _event(attribution).items():
            figures[f"event-{number}-{name}" if several else name] = figure
    return figures


def _after(other: Instead, listed: list[Following]) -> str:
    rows = []
    for event in listed:
        rows += [
            Row(
                f"{plain(event.event, 40)}, {ahead(event)}",
                0.0,
                event.surprisal,
                bits(event.surprisal),
            ),
            Row("instead", 0.0, event.instead, bits(event.instead), pale=True),
        ]
    about = f"Bits of surprise as it was and, pale, with {plain(other.event)} in its place"
    return bars("The events after it that would have changed most", about, rows)


def _event(attribution: Attribution) -> dict[str, str]:
    observed = attribution.observed
    listed = [outcome.event for outcome in attribution.expected]
    outcomes = [*attribution.expected, *([observed] if observed.event not in listed else [])]
    expected = [
        Row(
            _came(outcome.event) if outcome.event == observed.event else plain(outcome.event),
            0.0,
            outcome.probability,
            percent(outcome.probability),
        )
        for outcome in outcomes
    ]
    surprise = summed_rows(surprise_rows(attribution), ("Surprise", attribution.surprise.surprisal))
    evidence = summed_rows(evidence_rows(attribution), ("Total", attribution.total))
    paths = signed_rows(by_path(attribution))
    asked = question(attribution).replace("`", "")
    after = f"The most probable events after {plain(attribution.last)}"
    return {
        "evidence": _ribbon(attribution),
        "surprise": bars("The surprise, part by part", SURPRISE, surprise),
        "expected": bars("Expected instead", after, expected),
        "total": bars("The evidence, all of it together", asked, evidence),
        "paths": bars("By path, beyond the average case", asked, paths),
    }


def _came(event: str) -> str:
    mark = " ← came"
    return plain(event, LABEL - len(mark)) + mark


def _ribbon(attribution: Attribution) -> str:
    drawn = [
        placed(
            evidence_arcs(attribution),
            MARGIN,
            0.0,
            EM * WIDTH,
            EM * figure_height(attribution),
        )
    ]
    x, y = 2.0 * MARGIN + EM * WIDTH, 0.0
    for stop in stops(attribution):
        if stop.left_out:
            drawn.append(words(left_out(stop), x, y + EM * GAP / 2.0 + 4.0, class_="quiet"))
            y += EM * GAP
        name, told, value = attribution.last, "right before", ""
        if stop.index == attribution.index:
            name, told = attribution.observed.event, attribution.line or ""
            value = f"{bits(attribution.surprise.surprisal)} bits"
        elif stop.item:
            name, told = stop.item.event, f"{where(stop.item)} {stop.item.line or ''}"
            value = f"{signed(stop.item.value)} bits"
        middle = y + EM * ROW / 2.0
        drawn.append(words(plain(name, _NAME), x, middle - 3.0))
        drawn.append(words(plain(told, _NAME + 10), x, middle + 13.0, class_="quiet"))
        drawn.append(words(value, SHEET - MARGIN, middle + 4.0, class_="number"))
        y += EM * ROW
    about = (
        f"{question(attribution).replace('`', '')}. What is dashed speaks against it; the "
        "thicker, the more bits."
    )
    return alone("The evidence in the stream", about, join(drawn), y)


def _span(explanation: Explanation) -> str:
    what = (
        "Excess of surprise by event"
        if explanation.detector == "drift"
        else "Share of the mean by event"
    )
    rows: list[tuple[str, float]] = []
    for part in explanation.span[:_LISTED]:
        back = f"{part.lag} before the last" if part.lag else "the last"
        rows.append((f"{plain(part.event, 36)}, {back}", part.value))
    if rest := explanation.span[_LISTED:]:
        rows.append((f"{len(rest):,} other events", sum(part.value for part in rest)))
    if explanation.earlier:
        rows.append((explanation.unlisted, explanation.earlier))
    about = f"Largest first; together {bits(explanation.total)} bits"
    return bars(what, about, signed_rows(rows))


def _counts(explanation: Explanation) -> str:
    rows = []
    for part in explanation.counts[:_LISTED]:
        rows += [
            Row(clean(part.event), 0.0, float(part.count), f"{part.count:,}"),
            Row("expected", 0.0, part.expected, f"{part.expected:,.4g}", pale=True),
        ]
    about = "Of each event what came and, pale, what the nearest normal stream of this length has"
    return bars("Counts beside those of the nearest normal stream", about, rows)
