"""The figures of a card's page, each alone."""

from __future__ import annotations

import math
import re

from .card import Card
from .card_page import compositions_figure, counted_map, direct_map
from .card_text import brief, role_words
from .drawing import MARGIN, WIDTH, Row, alone, bars, placed, words
from .head_page import distance_curve, distance_words, ov_map, ov_scale, qk_map
from .markup import Markup, join

_SIDE = WIDTH - 8.0 * MARGIN  # of a heat map
_NAME = 50  # characters of an event's name, in two columns
_LINE = 15.0
_PATHS = 12
_GROWN = 2.0  # times the size on the page, at most, as lines grow too

_LOST = "Bits that an event would cost more if a path brought only what is usual after the last one"
_READS = "Rows: the event read; columns: the outcome that it raises (blue) or lowers (orange)"
_SEEKS = "Rows: the event that looks; columns: the event looked at, without distance"
_FOLLOWS = "Rows: the last event; columns: what follows, raised (blue) or lowered (orange)"
_COUNTED = "Rows: the last event; columns: what followed it in training"
_SIDES = (
    "Q, from where a head looks: plain, blue. K, at what it looks: long dashes, orange. V, what it "
    "brings: short dashes, green. The thicker, the further beyond chance"
)


def card_figures(card: Card) -> dict[str, str]:
    """SVG files by name."""
    work = [
        Row(each.name, 0.0, each.loss, f"{each.loss / math.log(2.0):.2f}".replace("-", "−"))
        for each in card.work[:_PATHS]
    ]
    figures = {
        "work": bars("What does the work", _LOST, work),
        "direct": _map(card, "Direct path W_E W_U, centred", _FOLLOWS, direct_map(card)),
        "counted": _map(card, "Share of what followed", _COUNTED, counted_map(card)),
    }
    if card.compositions:
        drawn = compositions_figure(card)
        figures["composition"] = _drawn("Heads that read what other heads wrote", _SIDES, drawn)
    for head in card.heads:
        name = f"{head.name}, {role_words(head)}"
        brings, looks = ov_map(card, head, ov_scale(card)), qk_map(card, head)
        figures[f"{head.name}-ov"] = _map(card, f"{name}: what it brings (OV)", _READS, brings)
        figures[f"{head.name}-qk"] = _map(card, f"{name}: what it looks for (QK)", _SEEKS, looks)
        about = (
            f"What 0 to {len(head.distance) - 1} events back add to its score, dashed: the sink; "
            f"{distance_words(head)}"
        )
        figures[f"{head.name}-distance"] = _drawn(f"{name}: distance", about, distance_curve(head))
    return figures


def _drawn(title: str, about: str, figure: Markup) -> str:
    """A figure of the page, larger."""
    found = re.search(r'viewBox="0 0 (\S+) (\S+)"', figure)
    assert found is not None, "every picture has its size"
    width, height = float(found[1]), float(found[2])
    scale = min(_GROWN, (WIDTH - 2.0 * MARGIN) / width)
    drawn = placed(figure, MARGIN, 0.0, scale * width, scale * height)
    return alone(title, about, drawn, scale * height)


def _map(card: Card, title: str, about: str, figure: Markup) -> str:
    """A heat map with the names of its events below."""
    half = (len(card.shown) + 1) // 2
    names = []
    for at, event in enumerate(card.shown):
        column, row = divmod(at, half)
        x = MARGIN + column * (WIDTH - MARGIN) / 2.0
        text = f"{at + 1}  {brief(card, event, _NAME)}"
        names.append(words(text, x, _SIDE + _LINE * (row + 1.5), class_="quiet"))
    drawn = placed(figure, 4.0 * MARGIN, 0.0, _SIDE, _SIDE)
    return alone(title, about, join([drawn, *names]), _SIDE + _LINE * (half + 1))
