"""The page of a whole model: its card of circuits with figures, in one file to keep or to send."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .card import Card, Skip
from .card_text import edited, opening, rule_grounds, rule_words, support
from .charts import SIDES, heads_on_heads, heat_map
from .head_page import directions_of, figure, head_by_head, name_of, roles, shade_scale
from .markup import Markup, join, tag
from .page import facts, note, page, section, table
from .stages_page import history_page
from .svg import bar
from .words import clean, percent, signed

_RULES = 24
_NAME = 60  # characters of an event's name in a sentence


def card_page(card: Card) -> str:
    """A static HTML page without script; all that comes from the logs is escaped."""
    title = f"Model {clean(card.model)[:12]}"
    head = join(
        [
            tag("h1", f"Offscript · {title} · card of circuits"),
            tag("p", opening(card), class_="lead"),
            *(tag("p", f"Edited: {edited(card, each)}") for each in card.edits),
            _facts(card),
        ]
    )
    sections = [_work(card)]
    if card.rules:
        sections.append(_rules(card))
    if card.heads:
        sections.append(roles(card))
    if card.skips:
        sections.append(_skips(card))
    sections += [_direct(card), _groups(card)]
    if card.compositions:
        sections.append(_compositions(card))
    sections.append(history_page(card))
    if card.heads:
        sections.append(head_by_head(card))
    if card.noticed:
        sections.append(_noticed(card))
    sections.append(section("Known limits", tag("ul", *(tag("li", said) for said in card.limits))))
    foot = tag(
        "p",
        f"Read from the weights and from {card.sample_events:,} events in "
        f"{card.sample_windows:,} held-out windows. Values in bits; names without the beginning "
        "that most events share.",
    )
    return page(f"{title} · Offscript", head, sections, foot)


def _facts(card: Card) -> Markup:
    streams = f"{card.trained_streams:,} stream{'s' if card.trained_streams > 1 else ''}"
    return facts(
        [
            ("Layers × heads", f"{card.n_layers} × {card.n_heads}"),
            ("Looks back on", f"{card.window} events"),
            ("Kinds of events", f"{card.events:,}"),
            ("Learned from", f"{card.trained_events:,} events, {streams}"),
            ("Model", clean(card.model)[:12]),
        ]
    )


def _in_bits(nats: float) -> str:
    return f"{nats / math.log(2.0):.2f}"


def _work(card: Card) -> Markup:
    largest = max(abs(work.loss) for work in card.work)
    rows = [
        (
            tag("code", work.name),
            bar(0.0, work.loss, min(0.0, *(w.loss for w in card.work)), largest),
            _in_bits(work.loss),
            _in_bits(work.effect),
        )
        for work in card.work
    ]
    return section(
        "What does the work",
        table(
            "How many bits an event would cost more if a path brought only what is usual after the "
            "last event, and how far it moves the surprise on average, to either side",
            ("Path", "", "lost without", "moves"),
            rows[:12],
        ),
    )


def _noticed(card: Card) -> Markup:
    rows = [
        (
            clean(each.change),
            bar(0.0, each.share, 0.0, 1.0),
            percent(each.share),
            f"{each.streams:,}",
        )
        for each in card.noticed
        if each.streams
    ]
    caption = "How many normal streams with one change, drawn at random, raise an alert"
    heads = ("Change", "", "alerts", "of streams")
    return section("What it notices", table(caption, heads, rows))


def _rules(card: Card) -> Markup:
    largest = max(rule.effect for rule in card.rules)
    rows = [
        (
            join(
                [
                    rule_words(card, rule, _NAME),
                    tag("br"),
                    tag("small", rule_grounds(rule)),
                ]
            ),
            bar(0.0, rule.effect, 0.0, largest),
            signed(rule.effect),
        )
        for rule in card.rules[:_RULES]
    ]
    caption = (
        f"What the model gives at least half of the probability ({len(rows)} of "
        f"{len(card.rules):,}, those first that work most), how many bits the paths named add to "
        "the logit, and how often it came"
    )
    return section("Rules", table(caption, ("Rule", "", "bits"), rows, class_="bars wide"))


def _skips(card: Card) -> Markup:
    parts = [
        _skip_table(
            card,
            "Strongest first: how many bits an earlier event adds to the logit of what follows the "
            "last one, how often that came in training, and how probable the model holds it",
            card.skips,
        )
    ]
    if card.phantoms:
        parts.append(tag("h3", "Phantoms"))
        parts.append(
            _skip_table(
                card,
                "Strong, but never seen in training; most expected first. A head treats all last "
                "events alike, so what it learned for one it does for others",
                card.phantoms,
            )
        )
    return section("Skip-trigrams: earlier … last → next", *parts)


def _skip_table(card: Card, caption: str, skips: Sequence[Skip]) -> Markup:
    low = min(0.0, *(skip.effect for skip in skips))
    high = max(0.0, *(skip.effect for skip in skips))
    rows = [
        (
            join(
                [
                    *(name_of(card, skip.earlier), " … ", name_of(card, skip.last), " → "),
                    *(name_of(card, skip.following), tag("br")),
                    tag("small", f"{skip.paths[0].event}; {support(skip)}"),
                ]
            ),
            bar(0.0, skip.effect, low, high),
            signed(skip.effect),
        )
        for skip in skips
    ]
    return table(caption, ("Rule", "", "bits"), rows, class_="bars wide")


def direct_map(card: Card) -> Markup:
    """What follows the last event by itself, as a figure."""
    return heat_map(
        "The direct path as a table",
        "Rows: the last event; columns: what follows. Numbers are those of the list below.",
        card.direct,
        card.shown_groups,
        largest=shade_scale(cell for row in card.direct for cell in row),
    )


def counted_map(card: Card) -> Markup:
    """What followed the last event in training, as a figure."""
    return heat_map(
        "The counted bigram as a table",
        "Rows: the last event; columns: what followed it in training.",
        card.counted,
        card.shown_groups,
        largest=1.0,
    )


def _direct(card: Card) -> Markup:
    figures = tag(
        "div",
        figure("Direct path W_E W_U, centred", direct_map(card)),
        figure("Counted in training: share of what followed", counted_map(card)),
        class_="figures",
    )
    key = tag(
        "ol",
        *(
            tag("li", tag("span", class_=f"swatch group{group}"), name_of(card, event))
            for event, group in zip(card.shown, card.shown_groups, strict=True)
        ),
        class_="key-of-events",
    )
    rows = [
        (
            join([name_of(card, each.last), " → ", name_of(card, each.following)]),
            bar(0.0, each.counted, 0.0, 1.0),
            percent(each.counted),
            percent(each.usual),
            percent(each.direct),
        )
        for each in card.follows
    ]
    return section(
        "The direct path, beside what was counted",
        note(
            "By itself the direct path misses the counted bigram by "
            f"{_in_bits(card.direct_misses)} bits an event; with what the heads bring on average, "
            f"by {_in_bits(card.usual_misses)}."
        ),
        figures,
        tag("details", tag("summary", "The events of the tables"), key),
        table(
            "What follows the most frequent events: counted in training, predicted in a usual "
            "context, and by the direct path alone",
            ("Last → next", "", "counted", "usual", "direct"),
            rows,
        ),
        directions_of(card, "Directions of the direct path", card.direct_directions),
    )


def _groups(card: Card) -> Markup:
    rows = [
        (
            join([tag("span", class_=f"swatch group{number}"), f"{number + 1}"]),
            percent(group.share),
            join([name_of(card, member.event) for member in group.events], " · "),
        )
        for number, group in enumerate(card.groups)
    ]
    caption = (
        f"A factorisation of all tables into groups of outcomes, which explains "
        f"{percent(card.groups_explain)} of them; it orders and colours the events of every figure"
    )
    return section(
        "Events that rise and fall together",
        table(caption, ("Group", "share", "events"), rows, class_="listing"),
    )


def compositions_figure(card: Card) -> Markup:
    """Heads that read what others wrote, as a figure."""
    first = [head.name for head in card.heads if head.name.startswith("L0")]
    second = [head.name for head in card.heads if head.name.startswith("L1")]
    links = [
        (each.first, each.second, each.side, max(each.score, 0.0)) for each in card.compositions
    ]
    return heads_on_heads(
        "Heads that read what other heads wrote",
        "; ".join(f"{begin} to {end} by {side}, {score:.2f}" for begin, end, side, score in links),
        first,
        second,
        links,
    )


def _compositions(card: Card) -> Markup:
    rows = [
        (
            join([tag("code", f"{each.first}→{each.second}"), f" by {each.side}"]),
            bar(0.0, each.score, 0.0, max(card.compositions[0].score, 1e-9)),
            f"{each.score:+.3f}".replace("-", "−"),
            "" if each.matching is None else f"{each.matching:+.2f}".replace("-", "−"),
        )
        for each in card.compositions
    ]
    legend = tag(
        "p",
        *(
            join([tag("span", class_=f"swatch side-{colour}"), f"{words} "])
            for (side, colour), words in zip(
                SIDES.items(),
                ("Q: from where it looks", "K: at what it looks", "V: what it brings"),
                strict=True,
            )
        ),
        class_="note",
    )
    return section(
        "Heads that read heads",
        legend,
        compositions_figure(card),
        table(
            f"Composition less that of random matrices, {card.compositions[0].baseline:.3f}. "
            "Matching: 1 if the head looks for events that the first marked with its own",
            ("Heads", "", "beyond chance", "matching"),
            rows,
        ),
    )
