"""What would have been with the expected event in its place, or with other events before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import END, NEW, PAST, SPECIAL, START
from ..model.weights import Weights
from .activations import Activations, predict, predict_all, rerun
from .directions import largest, ranked, softmax, surprisal
from .gains import Gains
from .replace import replaced_logits
from .softmax import log_sum_exp
from .window import Window, receptive_field

Array = np.ndarray

_PLACES = 3  # where a replacement is tried, the most promising …
_TRIED = (24, 8, 8)  # … with so many events in all, for the first, the second and the third
_TOGETHER = 16  # places whose promises are added up at a time
_ROUNDING = 1e-10  # nats: surprisals that did not change may differ by less
_LOOKED_AT = 4  # of those that make it normal, for what they do to the others


@dataclass(frozen=True)
class Following:
    """An event after the one explained, with its surprisal, and what that would have been."""

    event: str
    after: int  # 1: the next one
    surprisal: float
    instead: float


@dataclass(frozen=True)
class Instead:
    """The stream with the expected event in the place of the one explained, all else as it was."""

    event: str
    probability: float
    surprisal: float
    limit: float  # of one event's surprisal, to tell which of the following are odd
    following: tuple[Following, ...]  # as far as at hand, in order
    statistic: float  # the alert's; nan where it is not computed again
    raised: bool | None  # whether it would still pass its limit


@dataclass(frozen=True)
class Replacement:
    """One event of the context that would have had to be another."""

    source: int
    lag: int
    seconds: float  # before the event explained
    time: float
    event: str
    by: str
    probability: float  # of the other event in this place


@dataclass(frozen=True)
class Repair:
    """The fewest events found, at most three, whose replacement makes the observed one normal.

    None of the others becomes odd by it.
    """

    limit: float
    surprisal: float  # with them; the lowest that was reached if there are none
    replacements: tuple[Replacement, ...]  # oldest first; empty: none up to three


def repair(window: Window, limit: float, odd: float) -> Repair:
    """A greedy search for another context in which both the new event and the observed are likely.

    Scored again is what promises the largest log p(v at s) + log p(observed), by `Gains`. Of what
    is normal then, that with the largest is taken, else what is nearest to it, and the search goes
    on. What turns out not to be needed in the end is undone. No event may come to surprise by more
    than `odd` that did not before: the alert would only be another one, and come earlier.
    """
    weights, observed = window.weights, window.alert.tokens[window.index]
    tokens = window.activations.tokens.copy()
    activations = window.activations
    likely = predict_all(weights, activations)[:-1]  # log p of each event but the first
    likely -= log_sum_exp(likely)[:, None]
    came = likely[np.arange(len(likely)), tokens[1:]]
    most = np.append(np.maximum(odd, -came) + _ROUNDING, limit)
    _rule_out(likely, tokens, odd)
    best = float(surprisal(activations.logits[-1:], np.array([observed]))[0])
    changed: list[int] = []
    for many in _TRIED:
        if changed:
            activations = rerun(weights, activations, changed[-1], int(tokens[changed[-1]]))
        tried = _tried(weights, activations, observed, likely, many)
        passing = [one for one in tried if one[0] <= limit]
        passing.sort(key=lambda one: one[0] - likely[one[1] - 1, one[2]])
        for _, place, event in passing[:_LOOKED_AT]:
            other = tokens.copy()
            other[place] = event
            if _normal(window, other, most):
                return _repaired(window, most, other, [*changed, place])
        nearest = min((one for one in tried if one[0] > limit), default=(best, 0, 0))
        if nearest[0] >= best:
            break
        best, place, event = nearest
        tokens[place] = event
        changed.append(place)
        likely[place - 1] = -np.inf
    return Repair(limit, best, ())


def _rule_out(
    likely: Float64[Array, "places d_vocab"], tokens: Int[Array, " positions"], odd: float
) -> None:
    """Make log p −inf for what could not have come in each place but the first, or did come.

    Nothing says what could have come first.
    """
    likely[likely < -odd] = -np.inf
    likely[:, : len(SPECIAL)] = -np.inf
    likely[np.arange(len(likely)), tokens[1:]] = -np.inf
    likely[(tokens[1:] == START) | (tokens[1:] == PAST)] = -np.inf


def _normal(
    window: Window, tokens: Int[Array, " positions"], most: Float64[Array, " positions"]
) -> bool:
    """Whether no event would surprise by more than `most` if the window's events were these."""
    first, surprisals = _surprisals_since(window, tokens)
    return bool(np.all(surprisals <= most[first - 1 :]))


def _surprisals_since(
    window: Window, tokens: Int[Array, " positions"]
) -> tuple[int, Float64[Array, " changed"]]:
    """The first place where the window's events are not these; surprisals from it on.

    The last is that of the observed event; before that place nothing changes.
    """
    first = int(np.flatnonzero(tokens != window.activations.tokens)[0])
    following = np.append(tokens[first:], window.alert.tokens[window.index])
    return first, surprisal(predict(window.weights, tokens, first - 1), following)


def _tried(
    weights: Weights,
    activations: Activations,
    observed: int,
    likely: Float64[Array, "places d_vocab"],
    many: int,
) -> list[tuple[float, int, int]]:
    """The most promising replacements scored: the observed one's surprisal, place, and event."""
    places, promised = _promising(weights, activations, observed, likely)
    of, events = np.unravel_index(largest(promised, many), promised.shape)
    tried = []
    for at, place in enumerate(places.tolist()):
        chosen = events[(of == at) & np.isfinite(promised[at, events])]
        if len(chosen):
            logits = replaced_logits(weights, activations, place, chosen)
            left = surprisal(logits, np.full(len(chosen), observed))
            tried += [
                (s, place, event) for s, event in zip(left.tolist(), chosen.tolist(), strict=True)
            ]
    return tried


def _promising(
    weights: Weights,
    activations: Activations,
    observed: int,
    likely: Float64[Array, "places d_vocab"],
) -> tuple[Int[Array, " tried"], Float64[Array, "tried d_vocab"]]:
    """The places where a replacement promises most, and what each event promises there.

    Only places that could still be among them are looked at.
    """
    gains = Gains.of(weights, activations, observed)
    at_most = gains.at_most()[1:] + likely.max(axis=1)
    order = np.argsort(-at_most, kind="stable")
    places, promised = np.zeros(0, dtype=np.int64), np.zeros((0, weights.d_vocab))
    for first in range(0, len(order), _TOGETHER):
        if len(places) and promised[-1].max() >= at_most[order[first]]:
            break
        some = 1 + order[first : first + _TOGETHER]
        places = np.append(places, some)
        promised = np.append(promised, gains.at(some) + likely[some - 1], axis=0)
        best = np.lexsort((places, -promised.max(axis=1)))[:_PLACES]
        places, promised = places[best], promised[best]
    return places, promised


def _repaired(
    window: Window,
    most: Float64[Array, " positions"],
    tokens: Int[Array, " positions"],
    changed: Sequence[int],
) -> Repair:
    """Without the replacements that others have made needless; scored once more from scratch."""
    was = window.activations.tokens
    for place in changed[:-1]:
        undone = tokens.copy()
        undone[place] = was[place]
        if _normal(window, undone, most):
            tokens = undone
    first, left = _surprisals_since(window, tokens)
    alert, index = window.alert, window.index
    replacements = tuple(
        Replacement(
            source=window.offset + place,
            lag=index - window.offset - place,
            seconds=alert.times[index] - alert.times[window.offset + place],
            time=alert.times[window.offset + place],
            event=window.name(window.offset + place),
            by=window.vocabulary.names[tokens[place]],
            probability=math.exp(-left[place - first]),
        )
        for place in np.flatnonzero(tokens != was).tolist()
    )
    return Repair(float(most[-1]), float(left[-1]), replacements)


def instead(window: Window, later: Sequence[int], limit: float) -> Instead | None:
    """The window's event replaced by the most probable one, and what comes after scored again.

    `later` are tokens that came after those of the alert. `limit` is that of one event's surprisal,
    and the statistic the largest surprisal. None if no other event can come.
    """
    weights, alert, index = window.weights, window.alert, window.index
    logits = window.activations.logits[-1]
    order = ranked(logits, excluding=alert.tokens[index])
    order = order[(order != END) & (order != NEW)]
    if not len(order):
        return None
    expected = int(order[0])
    # What lies further ahead than the receptive field cannot see the difference.
    following = (*alert.tokens[index + 1 :], *later)[: receptive_field(weights)]
    context = alert.tokens[window.offset : index]
    before, after = (
        _surprisals(weights, (*context, event), following)
        for event in (alert.tokens[index], expected)
    )
    own = float(surprisal(logits[None], np.array([expected]))[0])
    statistic = max([own, *after.tolist()])
    return Instead(
        event=window.vocabulary.names[expected],
        probability=float(softmax(logits)[expected]),
        surprisal=own,
        limit=limit,
        following=tuple(
            Following(window.vocabulary.names[token], at, float(s), float(t))
            for at, (token, s, t) in enumerate(zip(following, before, after, strict=True), start=1)
        ),
        statistic=statistic,
        raised=statistic > limit,
    )


def _surprisals(
    weights: Weights, context: Sequence[int], following: Sequence[int]
) -> Float64[Array, " following"]:
    """Of events that came one after another, after a context."""
    if not following:
        return np.zeros(0)
    tokens = np.array((*context, *following[:-1]))
    return surprisal(predict(weights, tokens, len(context) - 1), np.array(following))
