"""One event of an alert on its page: the evidence in the stream, the surprise, the expected."""

from __future__ import annotations

from dataclasses import dataclass

from .explanation import Attribution, Evidence, Outcome
from .looks_text import looks
from .markup import Markup, join, tag
from .page import note, prose, section, signed_bars, table, waterfall
from .sentence import where
from .svg import Node, arcs, bar
from .text import by_path, checked, path_shares, question, supported
from .unseen_text import differing
from .words import SPOKEN, bits, clean, ordinal, percent, signed

ROW, GAP = 3.25, 1.75  # em: height of an event on the ribbon, and of events left out
WIDTH = 5.0  # em: room for the arcs
SURPRISE = (
    "How many bits each part adds to the surprise (−log₂ of the probability): what the event "
    "costs anywhere, what the last event makes of that in an average context, what earlier ones "
    "add"
)
_NOTABLE = 0.02  # share of the surprise below which an event has no bar of its own


def attribution_sections(attribution: Attribution, *, level: int) -> list[Markup]:
    """The sections of an event explained, their headings of a level."""
    near = []
    if attribution.nearest:
        near.append(section("Known events nearest to it", _nearest(attribution), level=level))
    return [
        *near,
        section("The evidence in the stream", *_ribbon(attribution), level=level),
        section("The surprise, part by part", _surprise(attribution), level=level),
        section("Expected instead", *_expected(attribution), level=level),
        section("Evidence", *_evidence(attribution, level + 1), level=level),
    ]


def raw_line(line: str | None) -> tuple[Markup, ...]:
    """A raw line, where there is one."""
    return (tag("pre", clean(line)),) if line else ()


def event_name(event: str) -> Markup:
    """An event by its whole name, or in words where it is none of the log's."""
    return tag("span", SPOKEN[event]) if event in SPOKEN else tag("code", clean(event))


def _ribbon(attribution: Attribution) -> tuple[Markup, ...]:
    """Evidence, the last event and the observed one, in the order of the stream."""
    rows = []
    for stop in stops(attribution):
        if stop.left_out:
            rows.append(tag("li", left_out(stop), class_="gap", style=f"height:{GAP}em"))
        rows.append(_row(attribution, stop.index, stop.item))
    figure = evidence_arcs(attribution)
    style = f"width:{WIDTH:g}em;height:{figure_height(attribution):g}em"
    figure = tag("div", figure, class_="thread-of-events", style=style)
    legend = tag(
        "p",
        tag("span", class_="key"),
        "speaks for what was expected, ",
        tag("span", class_="key against"),
        "speaks against it; the thicker, the more bits",
        class_="note",
    )
    return legend, tag("div", figure, tag("ol", *rows), class_="ribbon")


@dataclass(frozen=True)
class Stop:
    """An event on the ribbon, after so many that are left out."""

    index: int
    left_out: int
    item: Evidence | None


def stops(attribution: Attribution) -> list[Stop]:
    """Evidence, the last event and the observed one, in the order of the stream."""
    evidence = {item.source: item for item in attribution.evidence}
    shown = sorted({*evidence, attribution.index - 1, attribution.index})
    return [
        Stop(index, max(0, index - before - 1), evidence.get(index))
        for before, index in zip([shown[0], *shown], shown, strict=False)
    ]


def left_out(stop: Stop) -> str:
    """How many events are not shown before this one."""
    return f"{stop.left_out:,} other event{'s' if stop.left_out > 1 else ''}"


def evidence_arcs(attribution: Attribution) -> Markup:
    """The figure beside the events of the ribbon, which has their heights."""
    nodes = []
    for stop in stops(attribution):
        if stop.left_out:
            nodes.append(Node(GAP, None))
        nodes.append(Node(ROW, stop.item.value if stop.item else None))
    return arcs(
        "Arcs from the evidence to the event explained",
        f"{question(attribution)}: "
        + "; ".join(
            f"{clean(item.event)}, {where(item)}, {signed(item.value)}"
            for item in attribution.evidence
        ),
        nodes,
        len(nodes) - 1,
        WIDTH,
    )


def figure_height(attribution: Attribution) -> float:
    """Of the ribbon, in em."""
    return sum(ROW + (GAP if stop.left_out else 0.0) for stop in stops(attribution))


def _row(attribution: Attribution, index: int, item: Evidence | None) -> Markup:
    style = f"height:{ROW}em"
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
    text = tag("span", event_name(event), tag("small", told), class_="event")
    return tag("li", text, tag("span", value, class_="bits"), class_=class_, style=style)


def _told(line: str | None) -> str:
    return clean(line) if line else ""


def surprise_rows(attribution: Attribution) -> list[tuple[str, float]]:
    """What adds to the surprise, in nats."""
    surprise, observed = attribution.surprise, attribution.observed
    rows: list[tuple[str, float]] = [
        (join([event_name(observed.event), " by its share of all events"]), surprise.anywhere),
        (join(["after ", event_name(attribution.last)]), surprise.last),
    ]
    rest = surprise.evidence
    for item in attribution.evidence:
        if item.lag > 1 and abs(item.surprise) >= _NOTABLE * surprise.surprisal:
            rows.append((join([event_name(item.event), f" {where(item)}"]), item.surprise))
            rest -= item.surprise
    return [*rows, ("all other events, and heads at rest", rest)]


def _surprise(attribution: Attribution) -> Markup:
    total = ("Surprise", attribution.surprise.surprisal)
    return waterfall(SURPRISE, surprise_rows(attribution), total)


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
            event_name(attribution.last),
            " in training",
        ]
    )
    head = ("Event", "", "here", "anywhere", "support")
    return tag("p", about, class_="note"), table("The most probable events", head, rows)


def _nearest(attribution: Attribution) -> Markup:
    rows = [
        (event_name(near.event), percent(near.alike), "; ".join(differing(near)))
        for near in attribution.nearest
    ]
    caption = "Words in both, of all words in either; and what the event that came has otherwise"
    return table(caption, ("Event", "alike", "difference"), rows, class_="listing")


def _outcome(outcome: Outcome, *, came: bool) -> Markup:
    if not came:
        return event_name(outcome.event)
    return tag("strong", event_name(outcome.event), f" ← came, {ordinal(outcome.rank)}")


def evidence_rows(attribution: Attribution) -> list[tuple[str, float]]:
    """What the total of the evidence is the sum of, in nats."""
    rows: list[tuple[str, float]] = [
        (join([event_name(item.event), f" {where(item)}"]), item.value)
        for item in attribution.evidence
    ]
    rows += [("all other events, and heads at rest", attribution.others)]
    return [*rows, ("the average case, whatever came before", attribution.base)]


def _evidence(attribution: Attribution, level: int) -> list[Markup]:
    parts = [note(question(attribution))]
    for item in attribution.evidence:
        against = "" if item.rank else "; spoke against"
        support = (
            [tag("p", prose(supported(item.support, attribution.last)))] if item.support else []
        )
        check = [tag("p", checked(item, item.check, attribution.total))] if item.check else []
        heading = tag(
            f"h{level}", event_name(item.event), tag("span", f"{signed(item.value)} bits")
        )
        told = tag("p", f"{where(item)}{against}; {path_shares(item)}")
        parts.append(
            tag("article", heading, told, *raw_line(item.line), *support, *check, class_="evidence")
        )
    total = ("Total", attribution.total)
    parts.append(waterfall("All of it together", evidence_rows(attribution), total))
    paths = by_path(attribution)
    if len(paths) > 1:
        parts.append(signed_bars("By path, beyond the average case", paths))
    if looked := looks(attribution):
        parts.append(note("Why the heads looked there"))
        parts.append(tag("ul", *(_look(*each) for each in looked)))
    return parts


def _look(looked: str, content: list[str]) -> Markup:
    pairs = [tag("ul", *(tag("li", prose(pair)) for pair in content))] if content else []
    return tag("li", looked, *pairs)
