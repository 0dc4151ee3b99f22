"""A rule as a user writes it: a head, and events by their names or as a card shows them."""

from __future__ import annotations

import difflib
import re

from ..model.errors import InputError
from ..model.vocabulary import Vocabulary
from ..model.weights import Weights
from .naming import shortened
from .words import SPOKEN, clean

_ARROW = re.compile(r"\s+(?:->|→)\s+")
_HEAD = re.compile(r"L(\d+)H(\d+)")
_VIRTUAL = re.compile(r"(L\d+H\d+)\s*(?:->|→)\s*(L\d+H\d+)(?=\s*:|$)")
_GAP = re.compile(r"\s(?:…|\.\.\.)\s")
_SHOWN = 3  # events that an error names


def event_named(vocabulary: Vocabulary, text: str) -> int:
    """The token of an event: by its name, as a card shows it, or by a part that no other has."""
    wanted = text.strip().removesuffix("…").strip()
    short = shortened(vocabulary.names)
    forms = [(name, _shown(name), clean(short.get(name, name))) for name in vocabulary.names]
    exact = [token for token, names in enumerate(forms) if wanted in names]
    found = exact or [token for token, names in enumerate(forms) if wanted and wanted in names[1]]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(repr(forms[token][2]) for token in found[:_SHOWN])
        raise InputError(
            f"{len(found)} events have {wanted!r} in their names ({listed}"
            f"{', …' if len(found) > _SHOWN else ''}); give more of the one that is meant"
        )
    near = difflib.get_close_matches(wanted, [names[2] for names in forms], 1, cutoff=0.0)
    raise InputError(
        f"no event is called {wanted!r}, the nearest is {near[0]!r}; "
        "`offscript card MODEL --json` lists them all under `short`"
    )


def pair_named(vocabulary: Vocabulary, text: str) -> tuple[int, int]:
    """The tokens of 'event -> event'; a name may have an arrow in it itself."""
    arrows = list(_ARROW.finditer(text))
    if not arrows:
        raise InputError(f"expected 'event -> event', got {text!r}")
    for arrow in arrows:
        try:
            return (
                event_named(vocabulary, text[: arrow.start()]),
                event_named(vocabulary, text[arrow.end() :]),
            )
        except InputError as error:
            unknown = error
    raise unknown


def head_named(weights: Weights, text: str) -> tuple[int, int]:
    """Layer and head of L0H1."""
    virtual = _VIRTUAL.fullmatch(text.strip())
    if virtual:
        raise InputError(
            f"{virtual[1]}→{virtual[2]} has no weights of its own, it is {virtual[1]} read by "
            f"{virtual[2]}; edit one of these"
        )
    match = _HEAD.fullmatch(text.strip())
    if match and int(match[1]) < weights.n_layers and int(match[2]) < weights.n_heads:
        return int(match[1]), int(match[2])
    if not weights.n_layers:
        raise InputError(f"the model has no heads, got {text!r}; edit a bigram instead")
    raise InputError(
        f"expected a head from L0H0 to L{weights.n_layers - 1}H{weights.n_heads - 1}, got {text!r}"
    )


def rule_named(
    weights: Weights, vocabulary: Vocabulary, text: str
) -> tuple[tuple[int, int], tuple[int, int | None, int]]:
    """Head, and tokens, of 'L0H2: earlier -> next', whatever the last event is (None), or of
    'L0H2: earlier … last -> next'; a name may have a gap in it itself.
    """
    head, colon, rule = text.partition(":")
    if not colon or not (_HEAD.fullmatch(head.strip()) or _VIRTUAL.fullmatch(head.strip())):
        raise InputError(
            f"expected 'L0H2: earlier -> next' or 'L0H2: earlier … last -> next', got {text!r}; a "
            "rule is edited in one head, and `offscript card MODEL` says which holds it"
        )
    place, found = head_named(weights, head), set[tuple[int, int | None, int]]()
    try:  # an event that has the gap in its name is meant before two that have not
        earlier, following = pair_named(vocabulary, rule)
        return place, (earlier, None, following)
    except InputError as error:
        unknown = error
    for gap in _GAP.finditer(rule):
        try:
            earlier = event_named(vocabulary, rule[: gap.start()])
            found.add((earlier, *pair_named(vocabulary, rule[gap.end() :])))
        except InputError as error:
            unknown = error
    if len(found) > 1:
        raise InputError(f"{rule.strip()!r} can be read in several ways; give more of the names")
    if not found:
        raise unknown
    return place, found.pop()


def _shown(name: str) -> str:
    return SPOKEN.get(name) or clean(name)
