"""The card of a model for the terminal: what does the work, head by head, in about a minute."""

from __future__ import annotations

import math
import textwrap

from .card import Card, Edited, Head, Rule, Skip
from .roles import ROLES
from .stages_text import history_text
from .words import WIDTH, bar, clean, cut, percent, plain, signed

_WORK = 8
_RULES = 8
_SKIPS, _PHANTOMS = 6, 3
_COMPOSED = 4
_ROLES = {
    "previous": "looks one event back",
    "duplicate": "looks for the same event earlier",
    "induction": "looks for what followed the same event earlier",
    "itself": "looks at the event itself",
    "beginning": "looks at the stream's beginning",
    "rest": "rests, unless it finds what it looks for",
    "mixed": "no single role",
}


def card_text(card: Card) -> str:
    """At most 96 columns, no colours. Values in bits."""
    sections = [_opening(card), _work(card), _rules(card), _heads(card), history_text(card)]
    if card.skips:
        title = (
            "Strongest skip-trigrams: what an earlier event makes of what follows the last, bits"
        )
        sections.append([title, *_skips(card, card.skips[:_SKIPS])])
    if card.phantoms:
        title = "Phantoms: skip-trigrams that training never showed, most expected first"
        sections.append([title, *_skips(card, card.phantoms[:_PHANTOMS])])
    sections += [_groups(card), _compositions(card), _noticed(card), _limits(card)]
    return "\n\n".join("\n".join(map(cut, lines)) for lines in sections if lines) + "\n"


def opening(card: Card) -> str:
    """The model in a few sentences."""
    layers = f"{card.n_layers} layers of {card.n_heads} heads" if card.n_layers else "no layers"
    learned = (
        f"{layers}; {card.events:,} kinds of events, learned from {card.trained_events:,} events "
        f"in {card.trained_streams:,} stream{'s' if card.trained_streams > 1 else ''}."
    )
    losses = (
        f"An event costs it {_loss(card.loss)} bits on held-out streams; a bigram "
        f"{_loss(card.loss_bigram)}, a {card.ngram_order}-gram {_loss(card.loss_ngram)}."
    )
    by_work = sorted(card.work, key=lambda work: -work.loss)
    heads = sum(work.loss for work in by_work if work.name != "direct")
    direct = next(work.loss for work in by_work if work.name == "direct")
    told = f"Without its direct path an event would cost {_loss(direct)} bits more"
    if heads:
        strongest = next(work for work in by_work if work.name != "direct")
        told += f", without its strongest head path, {strongest.name}, {_loss(strongest.loss)}"
    return f"{learned} {losses} {told}."


def _loss(nats: float) -> str:
    return f"{nats / math.log(2.0):.2f}"


def _opening(card: Card) -> list[str]:
    said = [f"Model {clean(card.model)[:12]}: {opening(card)}"]
    said += [f"Edited: {edited(card, each)}" for each in card.edits]
    return [line for each in said for line in textwrap.wrap(each, WIDTH)]


def edited(card: Card, edit: Edited) -> str:
    """What was damped after the training, and what came of it."""
    what = "the direct path" if edit.path == "direct" else clean(edit.path)
    if edit.row is not None and edit.column is not None:
        gap = "" if edit.last is None else f" … {brief(card, edit.last, 40)}"
        what += f", {brief(card, edit.row, 40)}{gap} → {brief(card, edit.column, 40)},"
    gone = "removed" if edit.by == 1.0 else f"damped by {percent(edit.by)}"
    return (
        f"{what} {gone}. An event costs {_loss(edit.measured)} bits on the held-out windows since, "
        f"{_loss(edit.loss)} before."
    )


def _work(card: Card) -> list[str]:
    listed = card.work[:_WORK]
    largest = max((abs(work.loss) for work in listed), default=0.0)
    lines = ["What does the work: bits per held-out event that are lost without it"]
    lines += [
        f"  {_loss(work.loss):>7}  {bar(work.loss, largest)[11:]} {work.name}" for work in listed
    ]
    if len(card.work) > _WORK:
        rest = sum(work.loss for work in card.work[_WORK:])
        lines.append(
            f"  {_loss(rest):>7}  {'':12} {len(card.work) - _WORK} other paths, each alone"
        )
    return lines


def _rules(card: Card) -> list[str]:
    lines = [
        "Rules: what it expects more often than not; bits that the paths named add to the logit"
    ]
    for rule in card.rules[:_RULES]:
        said, grounds = (
            textwrap.wrap(words, WIDTH - 10)
            for words in (rule_words(card, rule, 40), rule_grounds(rule))
        )
        lines.append(f"  {signed(rule.effect):>6}  {said[0]}")
        lines += [f"{'':10}{line}" for line in (*said[1:], *grounds)]
    if len(card.rules) > _RULES:
        lines.append(f"{'':10}and {len(card.rules) - _RULES:,} more, with --json")
    return lines if card.rules else []


def rule_words(card: Card, rule: Rule, width: int) -> str:
    """A rule as a sentence."""
    last = brief(card, rule.last, width)
    if rule.following is None:
        return f"{last} is followed by what followed it before"
    said = f"{last} is followed by {brief(card, rule.following, width)}"
    return said if rule.earlier is None else f"{said} after {brief(card, rule.earlier, width)}"


def rule_grounds(rule: Rule) -> str:
    """What carries a rule, and how often it came."""
    heads = ", ".join(f"{head.event} {percent(head.value / rule.effect)}" for head in rule.heads)
    where = "the windows" if rule.kind == "induction" else "training"
    return f"{heads}; {support(rule, where)}"


def _heads(card: Card) -> list[str]:
    if not card.heads:
        return []
    lines = ["Heads: where their attention goes on held-out windows, where it can"]
    lines.append(f"  {'':6}{''.join(f'{name:>11}' for name in ROLES)}{'copying':>11}")
    for head in card.heads:
        scores = "".join(f"{share(head.on_windows[name]):>11}" for name in ROLES)
        lines.append(f"  {head.name:<6}{scores}{head.copying:>11.2f}".replace("-", "−"))
    lines.append("  with what it looks at most, and the outcomes that it moves most, in bits")
    for head in card.heads:
        lines += _head(card, head)
    return lines


def share(value: float | None) -> str:
    """A share of attention; a dash where no event could be looked at so."""
    return "–" if value is None else percent(value)


def role_words(head: Head) -> str:
    """What the head's role is, in words."""
    return _ROLES[head.role]


def _head(card: Card, head: Head) -> list[str]:
    lines = [f"  {head.name}  {role_words(head)}"]
    lines += [
        f"        {percent(look.attention):>6}  from {brief(card, look.looks, 34)} at "
        f"{brief(card, look.at, 34)}"
        for look in head.looks[:1]
    ]
    lines += [
        f"        {signed(pair.value):>6}  {brief(card, pair.row, 38)} → "
        f"{brief(card, pair.column, 38)}"
        for pair in head.brings[:2]
    ]
    return lines


def brief(card: Card, event: str, width: int) -> str:
    """An event without the beginning that most share."""
    return plain(card.short.get(event, event), width)


def _skips(card: Card, skips: tuple[Skip, ...]) -> list[str]:
    lines = []
    for skip in skips:
        last, following = brief(card, skip.last, 40), brief(card, skip.following, 40)
        lines.append(f"  {signed(skip.effect):>6}  {brief(card, skip.earlier, 84)}")
        lines.append(f"          … {last} → {following}")
        lines.append(f"          {skip.paths[0].event}; {support(skip)}")
    return lines


def support(told: Rule | Skip, where: str = "training") -> str:
    """How often a rule or a skip-trigram was borne out."""
    return (
        f"came {told.support:,} of {told.chances:,} times in {where}, "
        f"expected with {percent(told.expected)}"
    )


def _groups(card: Card) -> list[str]:
    lines = [f"Events that rise and fall together ({percent(card.groups_explain)} of all tables)"]
    for number, group in enumerate(card.groups, start=1):
        named = " · ".join(brief(card, member.event, 28) for member in group.events[:3])
        lines.append(f"  {number}  {named}")
    return lines if card.groups else []


def _compositions(card: Card) -> list[str]:
    lines = ["Heads that read heads: composition beyond chance"]
    for each in card.compositions[:_COMPOSED]:
        matching = "" if each.matching is None else f", matching {each.matching:+.2f}"
        pair = f"{each.first}→{each.second}"
        lines.append(f"  {each.side}  {pair:<12} {each.score:+.3f}{matching}".replace("-", "−"))
    return lines if card.compositions else []


def _noticed(card: Card) -> list[str]:
    lines = ["What it notices: how many normal streams with one change raise an alert"]
    for each in card.noticed:
        if each.streams:
            drawn = bar(each.share, 1.0)[11:]
            lines.append(f"  {percent(each.share):>7}  {drawn} {each.change}, of {each.streams:,}")
    return lines if card.noticed else []


def _limits(card: Card) -> list[str]:
    lines = ["Known limits"]
    for limit in card.limits:
        lines += textwrap.wrap(limit, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return lines
