"""An explanation for the terminal: what happened in one sentence, then what it rests on."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict

from ..model.vocabulary import PAST, SPECIAL, START
from .contexts import Support
from .counterfactual_text import what_if
from .explanation import Attribution, Evidence, Explanation
from .looks_text import looks
from .sentence import sentence, where
from .unseen_text import nearest_lines, unseen_lines
from .verify import Check
from .words import (
    NAME,
    WIDTH,
    bar,
    bits,
    clean,
    clock,
    cut,
    date,
    ordinal,
    percent,
    plain,
    quoted,
    signed,
    times,
)

_COUNTS = 8  # counts: events listed
_SPAN = 8  # drift: events listed
_PATHS = 5
_BEGINNINGS = (SPECIAL[START], SPECIAL[PAST])
_INDENT = " " * 10


def text(explanation: Explanation) -> str:
    """At most 96 columns, no colours, control characters of the log taken out. Values in bits."""
    sections = [sentence(explanation), _header(explanation), unseen_lines(explanation)]
    if explanation.span:
        sections.append(_span(explanation))
    if explanation.detector == "counts":
        sections.append(_counts(explanation))
    if explanation.parts:
        sections.append(_parts(explanation))
    for attribution in explanation.attributions:
        near = nearest_lines(attribution)
        if explanation.span or explanation.parts:
            sections.append(_excessive(explanation, attribution) + near + _evidence(attribution))
        else:
            sections += [near, _expected(attribution), _evidence(attribution)]
            sections += [_surprise(attribution), _paths(attribution)]
            sections.append(_looks(attribution))
    sections += [what_if(explanation), _footer(explanation)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _header(explanation: Explanation) -> list[str]:
    lines = [
        f"alert  {clean(explanation.alert)}  {date(explanation.time)}",
        *([f"model  {clean(explanation.model_name)}"] if explanation.model_name else []),
        f"stream {clean(explanation.stream) or '(the only one)'}",
        f"score  {explanation.score:.1f}, threshold {explanation.threshold:.1f}",
        f"raised by the {explanation.detector} detector",
    ]
    if explanation.text and explanation.detector != "counts":
        lines.append(f"line   {clean(explanation.text)}")
    return [cut("  " + line) for line in lines]


def _expected(attribution: Attribution) -> list[str]:
    observed = attribution.observed
    lines = [f"{'Expected':<58} {'here':>10} {'anywhere':>10} {'support':>10}"]
    listed = [outcome.event for outcome in attribution.expected]
    outcomes = [*attribution.expected, *([observed] if observed.event not in listed else [])]
    for outcome in outcomes:
        name = plain(outcome.event)
        if outcome.event == observed.event:
            mark = f" ← came, {ordinal(outcome.rank)}"
            name = plain(outcome.event, NAME - len(mark)) + mark
        lines.append(
            f"  {name:<56} {percent(outcome.probability):>10} {percent(outcome.base_rate):>10} "
            f"{outcome.support:>10,}"
        )
    last = quoted(attribution.last)
    return [*lines, cut(f"  support: how often it came right after {last} in training")]


def _evidence(attribution: Attribution) -> list[str]:
    values = [item.value for item in attribution.evidence]
    largest = max(map(abs, (*values, attribution.base, attribution.others)))
    lines = [question(attribution)]
    for item in attribution.evidence:
        against = "" if item.rank else "; spoke against"
        lines.append(f"{bar(item.value, largest)} {plain(item.event)}{against}")
        lines.append(f"{_INDENT}{where(item)}; {path_shares(item)}")
        if item.line and clean(item.line) != clean(item.event):
            lines.append(f"{_INDENT}{clean(item.line)}")
        if item.support:
            lines.append(f"{_INDENT}{supported(item.support, attribution.last)}")
        if item.check:
            lines.append(f"{_INDENT}{checked(item, item.check, attribution.total)}")
    lines.append(f"{bar(attribution.others, largest)} all other events, and heads at rest")
    lines.append(f"{bar(attribution.base, largest)} the average case, whatever came before")
    return [cut(line) for line in lines]


def question(attribution: Attribution) -> str:
    """What the evidence is for, and the total that it adds up to."""
    if attribution.view == "own expectation":
        asked = "Evidence for what was expected, on average, over what came"
    else:
        expected = "the expected ones"
        if len(attribution.against) == 1:
            expected = quoted(attribution.against[0])
        asked = f"Evidence for {expected} over {quoted(attribution.observed.event)}"
    return f"{asked}, {bits(attribution.total)} bits"


def path_shares(item: Evidence) -> str:
    """The strongest paths that brought a piece of evidence, each with its bits if it has any."""
    told = [f"{path.name} {signed(path.value)}" for path in item.paths if bits(path.value) != "0.0"]
    return ", ".join(told) or "no path by much"


def supported(support: Support, last: str) -> str:
    """How often training showed a piece of evidence before the last event, and what came next."""
    if not support.chances:
        return f"never in training before {quoted(last)}"
    return (
        f"{times(support.chances)} in training before {quoted(last)}; an expected event next: "
        f"{times(support.count) if support.count else 'never'}"
    )


def checked(item: Evidence, check: Check, total: float) -> str:
    """What the check of a piece of evidence came to; a single draw has no standard error."""
    replaced, verdict, error = "other events", check.verdict, f" ± {bits(check.standard_error)}"
    if check.draws == 1:
        begins = item.event in _BEGINNINGS
        replaced = "the other beginning" if begins else "the one typical event"
        verdict, error = "of one draw" if verdict == "single" else verdict, ""
    wrong = ""
    if verdict == "failed":
        wrong = "; it should have fallen" if item.rank else "; it should have risen"
    return (
        f"check {verdict}: with {replaced} in its place {bits(total - check.effect)}{error} "
        f"bits, not {bits(total)}{wrong}"
    )


def _surprise(attribution: Attribution) -> list[str]:
    surprise = attribution.surprise
    parts = (
        (surprise.anywhere, f"{plain(attribution.observed.event)} by its share of all events"),
        (surprise.last, f"after {plain(attribution.last)}"),
        (surprise.evidence, "given the events before"),
    )
    largest = max(abs(value) for value, _ in parts)
    lines = [f"Surprise, {bits(surprise.surprisal)} bits"]
    return [cut(line) for line in [*lines, *(f"{bar(v, largest)} {what}" for v, what in parts)]]


def _paths(attribution: Attribution) -> list[str]:
    listed = by_path(attribution)
    if len(listed) < 2:
        return []
    largest = max(abs(value) for _, value in listed)
    lines = [f"{bar(value, largest)} {path}" for path, value in listed]
    return ["By path, beyond the average case", *lines]


def by_path(attribution: Attribution) -> list[tuple[str, float]]:
    """The strongest paths in words with their contributions, and the sum of all others."""
    sums: dict[str, float] = defaultdict(float)
    for term in attribution.terms:
        if term.kind not in ("base", "remainder"):
            sums[term.name] += term.value
    ranked = sorted(sums.items(), key=lambda item: -abs(item[1]))
    listed, rest = ranked[:_PATHS], ranked[_PATHS:]
    words = [(_path_words(name), value) for name, value in listed]
    if rest:
        words.append((f"{len(rest)} other paths", sum(value for _, value in rest)))
    return words


def _looks(attribution: Attribution) -> list[str]:
    lines = []
    for looked, content in looks(attribution):
        lines.append(cut(f"  {looked}"))
        for pair in content:
            lines += textwrap.wrap(
                pair,
                WIDTH,
                initial_indent=" " * 4,
                subsequent_indent=_INDENT,
                break_on_hyphens=False,
            )
    return ["Why the heads looked there", *lines] if lines else []


def _path_words(name: str) -> str:
    if name == "direct":
        return "direct (what follows the last event by itself)"
    return f"{name} (one head reading what the other had brought)" if "→" in name else name


def _span(explanation: Explanation) -> list[str]:
    listed, rest = explanation.span[:_SPAN], explanation.span[_SPAN:]
    left = sum(part.value for part in rest)
    largest = max([abs(part.value) for part in listed] + [abs(explanation.earlier), abs(left)])
    what = "Excess" if explanation.detector == "drift" else "Share of the mean"
    lines = [f"{what} by event, {bits(explanation.total)} bits"]
    for part in listed:
        where = f"{part.lag} before the last" if part.lag else "the last"
        lines.append(f"{bar(part.value, largest)} {plain(part.event)}, {where}")
    if rest:
        lines.append(f"{bar(left, largest)} {len(rest)} other events")
    if explanation.earlier:
        lines.append(f"{bar(explanation.earlier, largest)} {explanation.unlisted}")
    return [cut(line) for line in lines]


def _parts(explanation: Explanation) -> list[str]:
    largest = explanation.parts[0].value
    lines = [f"All detectors together, {explanation.total:.1f}: the root of the scores' squares"]
    for part in explanation.parts:
        share = percent(part.value / explanation.total)
        lines.append(f"{bar(part.value, largest)} {part.detector}, score {part.score:.1f}, {share}")
    return [cut(line) for line in lines]


def _excessive(explanation: Explanation, attribution: Attribution) -> list[str]:
    lags = [part.lag for part in explanation.span if part.index == attribution.index]
    where = "the most surprising" if not lags else "the last"
    if lags and lags[0]:
        where = f"{lags[0]} before the last"
    if not math.isnan(attribution.time):
        where += f" ({clock(attribution.time)})"
    observed = attribution.observed
    expected = ", ".join(
        f"{plain(outcome.event, 24)} {percent(outcome.probability)}"
        for outcome in attribution.expected[:3]
    )
    lines = [f"{plain(observed.event)}, {where}: surprise {bits(attribution.surprise.surprisal)}"]
    if attribution.line and clean(attribution.line) != clean(observed.event):
        lines.append(f"  line      {clean(attribution.line)}")
    return [*map(cut, lines), cut(f"  expected  {expected}")]


def _counts(explanation: Explanation) -> list[str]:
    lines = [f"{'Event':<58} {'count':>10} {'expected':>10} {'share':>10}"]
    for part in explanation.counts[:_COUNTS]:
        share = percent(part.value / explanation.total) if explanation.total else ""
        lines.append(
            f"  {plain(part.event):<56} {part.count:>10,} {part.expected:>10,.4g} {share:>10}"
        )
    if len(explanation.counts) > _COUNTS:
        lines.append(f"  {len(explanation.counts) - _COUNTS} other events")
    return [cut(line) for line in lines]


def _footer(explanation: Explanation) -> list[str]:
    quantity, unit = "Surprisal", " nats"
    if explanation.detector == "counts":
        quantity, unit = "Distance", ""
    elif explanation.parts:
        quantity = "Score"
    elif explanation.span and not explanation.earlier:
        quantity = "Sum" if explanation.detector == "drift" else "Mean"
    lines = [
        f"The parts add up within {explanation.completeness_error:.0e}{unit}.",
    ]
    served = f"{explanation.recomputed:.5f}{unit}; served: {explanation.served:.5f}{unit}."
    how = "added up" if explanation.parts else "recomputed"
    lines.append(f"{quantity} {how}: {served}")
    for warning in explanation.warnings:
        lines += textwrap.wrap(clean(warning), WIDTH, initial_indent="! ", subsequent_indent="  ")
    return lines
