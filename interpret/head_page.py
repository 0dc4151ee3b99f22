"""The heads of a model on its page: roles at a glance, and each head by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .card import Card, Direction, Head, Pair, Ribbon
from .card_text import brief, role_words, share
from .charts import curve, heat_map
from .markup import Markup, join, tag
from .page import note, section, signed_bars, table
from .roles import ROLES
from .svg import bar
from .words import percent, signed

_NAME = 90  # characters of an event's name
_READ = 0.05  # attention from which on it is printed


def roles(card: Card) -> Markup:
    """Where every head's attention goes, and whether it copies."""
    rows = [
        (
            join([tag("code", head.name), f" {role_words(head)}"]),
            *(_twice(head, name) for name in ROLES),
            f"{head.copying:+.2f}".replace("-", "−"),
        )
        for head in card.heads
    ]
    return section(
        "Heads at a glance",
        table(
            "Attention to where a head of each role would look, on held-out windows and, below, on "
            "random events that come twice. Copying: 1 if it raises what it reads, −1 if it lowers "
            "that",
            ("Head", *ROLES, "copying"),
            rows,
            class_="many",
        ),
    )


def _twice(head: Head, name: str) -> Markup:
    return join(
        [share(head.on_windows[name]), tag("br"), tag("small", share(head.on_repeats[name]))]
    )


def head_by_head(card: Card) -> Markup:
    """Every head, folded under its role."""
    largest = ov_scale(card)
    return section(
        "Head by head",
        note(
            "What a head brings (OV) counts where it looks (QK). Tables are over the events "
            "numbered above; what heads bring is shaded on one scale."
        ),
        *(_head(card, head, largest) for head in card.heads),
    )


def ov_scale(card: Card) -> float:
    """One scale of shades for what all heads bring."""
    return shade_scale(cell for head in card.heads for row in head.ov for cell in row)


def ov_map(card: Card, head: Head, largest: float) -> Markup:
    """What a head makes of what it reads, as a figure."""
    return heat_map(
        f"What {head.name} brings",
        "Rows: the event read; columns: the outcome that it raises or lowers.",
        head.ov,
        card.shown_groups,
        largest=largest,
    )


def qk_map(card: Card, head: Head) -> Markup:
    """What a head looks for, as a figure."""
    return heat_map(
        f"What {head.name} looks for",
        "Rows: the event that looks; columns: the event looked at, without distance.",
        head.qk,
        card.shown_groups,
        largest=shade_scale(cell for row in head.qk for cell in row),
    )


def distance_words(head: Head) -> str:
    """The numbers that the curve over distance is read for."""
    return (
        f"0 back {head.distance[0]:+.1f}, highest {max(head.distance):+.1f} at "
        f"{head.distance.index(max(head.distance))} back; sink {head.sink:+.1f}"
    )


def distance_curve(head: Head) -> Markup:
    """What distance adds to a head's score, as a figure."""
    return curve(
        f"Score of {head.name} by distance",
        distance_words(head),
        head.distance,
        head.sink,
    )


def _head(card: Card, head: Head, largest: float) -> Markup:
    looks = [
        (
            join([name_of(card, look.looks), " at ", name_of(card, look.at)]),
            bar(0.0, look.attention, 0.0, 1.0),
            percent(look.attention),
            f"{look.times:,}",
        )
        for look in head.looks
    ]
    figures = tag(
        "div",
        figure(
            "OV: event read → outcome",
            ov_map(card, head, largest),
        ),
        figure(
            "QK: event that looks → event looked at",
            qk_map(card, head),
        ),
        class_="figures",
    )
    distance = figure(
        f"Distance: what it adds to the score, from 0 to {len(head.distance) - 1} back; "
        f"dashed: the sink, {head.sink:+.1f}".replace("-", "−"),
        distance_curve(head),
    )
    caption = "Where its attention went, of all events in the windows"
    return tag(
        "details",
        tag("summary", tag("h3", f"{head.name}: {role_words(head)}")),
        table(caption, ("Looks from … at …", "", "attention", "times"), looks),
        _pairs(card, "What it makes of what it reads, most notable first", head.brings),
        _pairs(card, "What it looks for: from the first event at the second", head.seeks),
        figures,
        distance,
        directions_of(card, "Directions of what it brings", head.ov_directions),
        directions_of(card, "Directions of what it looks for", head.qk_directions),
        *_moments(card, head),
    )


def _pairs(card: Card, caption: str, pairs: Sequence[Pair]) -> Markup:
    rows = [
        (join([name_of(card, pair.row), " → ", name_of(card, pair.column)]), pair.value)
        for pair in pairs
    ]
    return signed_bars(caption, rows) if rows else note(f"{caption}: nothing")


def directions_of(card: Card, caption: str, directions: Sequence[Direction]) -> Markup:
    """Singular directions of a table, both sides by their largest loadings."""
    rows = [
        (
            f"{number} ({percent(each.share)})",
            *(
                join(
                    [
                        join(
                            [f"{weight.value:+.2f} ".replace("-", "−"), name_of(card, weight.event)]
                        )
                        for weight in side
                    ],
                    " · ",
                )
                for side in (each.reads, each.writes)
            ),
        )
        for number, each in enumerate(directions, start=1)
    ]
    return table(caption, ("Direction (share)", "from", "to"), rows, class_="listing")


def _moments(card: Card, head: Head) -> list[Markup]:
    parts = []
    if head.moments:
        parts.append(
            note("Where it helped most: the events before, underlined as far as it read them")
        )
        parts += [_ribbon(card, moment) for moment in head.moments]
    if head.quantiles:
        parts.append(
            note(
                f"And where it helped more than in so many of the {card.sample_events:,} held-out "
                "predictions; negative: it spoke against what followed"
            )
        )
        parts += [
            _ribbon(card, each.ribbon, f" ({percent(each.below)})") for each in head.quantiles
        ]
    return parts


def _ribbon(card: Card, ribbon: Ribbon, place: str = "") -> Markup:
    events = [
        tag(
            "li",
            *_swatch(card, event),
            name_of(card, event),
            *([tag("small", f" {percent(read)}")] if read >= _READ else []),
            style=f"border-bottom-width:{6.0 * read:.1f}px",
        )
        for event, read in zip(ribbon.before, ribbon.read, strict=True)
    ]
    told = join([name_of(card, ribbon.followed), f" {signed(ribbon.gain)} bits{place}"])
    return tag("ol", *events, tag("li", "→ ", told, class_="followed"), class_="chips")


def _swatch(card: Card, event: str) -> list[Markup]:
    """The colour of an event's group, where the card tells it."""
    if event not in card.shown:
        return []
    return [tag("span", class_=f"swatch group{card.shown_groups[card.shown.index(event)]}")]


def figure(caption: str, drawn: Markup) -> Markup:
    """A figure with the words under it."""
    return tag("figure", drawn, tag("figcaption", caption))


def shade_scale(values: Iterable[float]) -> float:
    """The scale of shades: nearly all cells are within, a few outliers do not blanch the rest."""
    sizes = sorted(abs(value) for value in values)
    return sizes[int(0.98 * (len(sizes) - 1))] if sizes else 1.0


def name_of(card: Card, event: str) -> Markup:
    """An event as code, without the beginning that most share."""
    return tag("code", brief(card, event, _NAME))
