"""Two models compared, for the terminal: events, heads, and the rules that differ."""

from __future__ import annotations

import math

from .diff import Change, Diff
from .words import clean, cut, plain, signed

_NAMED = 5  # events that only one model knows
_LISTED = 8  # rules of a kind
_NAME = 34  # characters of an event


def diff_text(found: Diff) -> str:
    """At most 96 columns, values in bits."""
    sections = [_opening(found)]
    if found.heads:
        sections.append(_heads(found))
    if found.shared:
        sections.append(_rules(found, "Direct path, last → next", found.bigrams))
        sections.append(_rules(found, "Skip-trigrams, earlier … last → next", found.skips))
    else:
        sections.append(["No kind of event is known to both: there are no rules to compare"])
    return "\n\n".join("\n".join(map(cut, lines)) for lines in sections)


def _opening(found: Diff) -> list[str]:
    lines = [
        (
            f"Model {clean(found.before)[:12]} → {clean(found.after)[:12]}, both read on "
            f"{found.windows:,} held-out windows"
        ),
        (
            f"{found.shared:,} kinds of events are known to both, {len(found.lost):,} only to the "
            f"first, {len(found.new):,} only to the second"
        ),
    ]
    for title, names in (("lost", found.lost), ("new", found.new)):
        lines += [f"  {title:<5} {brief(found, name, 84)}" for name in names[:_NAMED]]
        if len(names) > _NAMED:
            lines.append(f"  {title:<5} … {len(names) - _NAMED:,} more; see all with --json")
    return lines


def _heads(found: Diff) -> list[str]:
    lines = [
        "Heads, each beside the one that brings what is most like it (1: the same)",
        f"  {'':<14}{'alike':>6}  {'role':<26}{'bits an event costs more without it':>38}",
    ]
    for pair in found.heads:
        roles = pair.role_before
        if pair.role_after != pair.role_before:
            roles += f" → {pair.role_after}"
        loss = f"{_bits(pair.loss_before)} → {_bits(pair.loss_after)}"
        line = f"  {pair.before} → {pair.after:<7}{pair.alike:>6.2f}  {roles:<26}{loss:>38}"
        lines.append(line.replace("-", "−"))
    return lines


def _bits(nats: float) -> str:
    return f"{nats / math.log(2.0):.3f}"


def _rules(found: Diff, title: str, changes: tuple[Change, ...]) -> list[str]:
    if not changes:
        return [f"{title}: none differs by a bit"]
    lines = [f"{title}: bits, and how often training showed it"]
    for change in changes[:_LISTED]:
        last, following = (brief(found, name, _NAME) for name in (change.last, change.following))
        cell = f"{signed(change.before):>6} → {signed(change.after):>5}"
        support = f"{times(change.support_before)} → {times(change.support_after)}"
        lines.append(f"  {change.kind:<9}{cell}  {last} → {following}")
        if change.earlier is not None:
            lines[-1] = f"  {change.kind:<9}{cell}  {brief(found, change.earlier, 2 * _NAME)}"
            lines.append(f"  {'':<25}… {last} → {following}")
        lines.append(f"  {'':<25}{support}")
    if len(changes) > _LISTED:
        lines.append(f"  … {len(changes) - _LISTED} more; see them with --json")
    return lines


def brief(found: Diff, event: str, width: int) -> str:
    """An event without the beginning that most share."""
    return plain(found.short.get(event, event), width)


def times(support: int | None) -> str:
    """How often training showed a rule, where that was counted."""
    return "not counted" if support is None else f"{support:,}"
