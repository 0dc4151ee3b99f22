"""The figures of a card's page, each alone."""

from __future__ import annotations

import math

from .card import Card, Rule
from .card_page import compositions_figure, counted_map, direct_map
from .card_text import brief, role_words, rule_grounds
from .drawing import LABEL, MARGIN, WIDTH, Row, alone, bars, multiples, placed, size_of, words
from .head_page import distance_curve, distance_words, ov_map, ov_scale, qk_map
from .markup import Markup, join
from .stages_page import by_head, loss_curve
from .stages_text import layer_losses
from .words import signed

_SIDE = WIDTH - 8.0 * MARGIN  # of a heat map
_NAME = 50  # characters of an event's name, in two columns
_LINE = 15.0
_PATHS = 12
_RULES = 24
_GROWN = 2.0  # times the size on the page, at most, as lines grow too

_LOST = "Bits that an event would cost more if a path brought only what is usual after the last one"
_READS = "Rows: the event read; columns: the outcome that it raises (blue) or lowers (orange)"
_SEEKS = "Rows: the event that looks; columns: the event looked at, without distance"
_FOLLOWS = "Rows: the last event; columns: what follows, raised (blue) or lowered (orange)"
_COUNTED = "Rows: the last event; columns: what followed it in training"
_EXPECTS = (
    "What the model gives at least half of the probability ({} of {:,}, those first that work "
    "most): earlier … last → next, how many bits the paths named add to the logit, and how often "
    "it came"
)
_BUYS = "Bits per held-out event of decoders fitted to the same streams"
_STEPS = "From step 0 to {:,}, logarithmic, from left to right. "
_ROLES = (
    " Previous: plain, blue. Duplicate: long dashes, orange. Induction: short dashes, green. Rest: "
    "thin, grey."
)
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
    if card.rules:
        about = _EXPECTS.format(min(_RULES, len(card.rules)), len(card.rules))
        figures["rules"] = bars("Rules", about, [_rule(card, rule) for rule in card.rules[:_RULES]])
    figures |= _formed(card)
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


def _rule(card: Card, rule: Rule) -> Row:
    """A rule as a row, each of its events with as much of the name as there is room for."""
    room = (LABEL - 6) // (3 if rule.earlier is not None else 2)
    following = "what followed it before"
    if rule.following is not None:
        following = brief(card, rule.following, room)
    said = f"{brief(card, rule.last, room)} → {following}"
    if rule.earlier is not None:
        said = f"{brief(card, rule.earlier, room)} … {said}"
    return Row(said, 0.0, rule.effect, signed(rule.effect), about=rule_grounds(rule))


def _formed(card: Card) -> dict[str, str]:
    """What each layer buys, and the curves of the training, as far as the model keeps them."""
    figures = {}
    losses = layer_losses(card)
    if len(losses) > 1:
        rows = [Row(name, 0.0, loss, f"{loss / math.log(2.0):.3f}") for name, loss in losses]
        figures["layers"] = bars("What each layer buys", _BUYS, rows)
    if card.history is not None:
        title, steps = "How it formed", _STEPS.format(card.history.stages[-1].step)
        told, drawn = loss_curve(card.history)
        figures["formed-loss"] = _drawn(f"{title}: loss", f"{steps}{told}", drawn)
        for each in by_head(card.history):
            about = f"{steps}{each.about}."
            if each.name in ("attention", "repeats"):
                about += _ROLES
            named = f"{title}: {each.name}"
            figures[f"formed-{each.name}"] = multiples(named, about, each.drawn)
    return figures


def _drawn(title: str, about: str, figure: Markup) -> str:
    """A figure of the page, larger."""
    width, height = size_of(figure)
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
