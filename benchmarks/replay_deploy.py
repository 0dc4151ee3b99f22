"""A deploy made from real data: from a moment on, new normal sessions follow a changed script."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from .replay_events import Sent


@dataclass(frozen=True)
class Deploy:
    """What the new version does differently. Expressions match the part of a text that they change.

    `renamed`: this text becomes that one. `inserted`: after each match follows the same text once
    more with the match replaced, at the same time. `swapped`: where a match of the first is the
    session's last text before a match of the second, the two matches change places; times stay.
    """

    renamed: tuple[str, str]
    inserted: tuple[str, str]
    swapped: tuple[str, str] | None = None


def changed_sessions(
    owners: Sequence[str | None], anomalous: Collection[str], begin: int
) -> frozenset[str]:
    """The normal sessions whose first text is sent at `begin` or later."""
    before = {owner for owner in owners[:begin] if owner is not None}
    after = {owner for owner in owners[begin:] if owner is not None}
    return frozenset(after - before - set(anomalous))


def deployed(
    sent: Sequence[Sent],
    owners: Sequence[str | None],
    deploy: Deploy,
    changed: Collection[str],
) -> Iterator[Sent]:
    """What is sent when the `changed` sessions run the new version.

    Texts of other sessions, and those of no session or of several (owner None), stay as they are.
    """
    texts = [one.text for one in sent]
    if deploy.swapped is not None:
        _swap(texts, owners, deploy.swapped, changed)
    old, new = re.compile(deploy.renamed[0]), deploy.renamed[1]
    mark, added = re.compile(deploy.inserted[0]), deploy.inserted[1]
    for one, text, owner in zip(sent, texts, owners, strict=True):
        if owner not in changed:
            yield one
            continue
        yield replace(one, text=old.sub(new, text))
        if mark.search(text):
            yield replace(one, text=mark.sub(added, text))


def _swap(
    texts: list[str],
    owners: Sequence[str | None],
    pair: tuple[str, str],
    changed: Collection[str],
) -> None:
    first, second = (re.compile(pattern) for pattern in pair)
    last: dict[str, int] = {}
    for index, owner in enumerate(owners):
        if owner is None or owner not in changed:
            continue
        before = last.get(owner)
        if before is not None:
            one, other = first.search(texts[before]), second.search(texts[index])
            if one and other:
                texts[before] = one.string.replace(one[0], other[0])
                texts[index] = other.string.replace(other[0], one[0])
        last[owner] = index
