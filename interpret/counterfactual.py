"""What would have been with the expected event in its place, or with other events before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import END, NEW, PAST, SPECIAL, START
from ..model.weights import Weights
from .activations import Activations, run
from .directions import log_softmax, ranked, softmax, surprisal
from .verify import replaced_logits
from .window import Window, receptive_field

Array = np.ndarray

_PLACES = 3  # where a replacement is tried, the most promising …
_TRIED = (24, 8, 8)  # … with so many events in all, for the first, the second and the third
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


def gains(
    weights: Weights, activations: Activations, observed: int
) -> Float64[Array, "positions d_vocab"]:
    """g_s · (W_E[v] − W_E[e_s]): what log p(observed) gains if v stands at s instead of e_s.

    To first order and with attention as it is: g_s is the gradient of log p(observed) at the
    embedding of position s, all patterns held.
    """
    w = -softmax(activations.logits[-1])
    w[observed] += 1.0
    g = np.zeros((len(activations.tokens), weights.d_model))
    g[-1] = weights.W_U @ w
    layers = zip(activations.layers, weights.W_V, weights.W_O, strict=True)
    for layer, W_V, W_O in reversed(list(layers)):
        _, destinations, sources = layer.pattern.shape  # the last positions of each
        read = layer.pattern.swapaxes(1, 2) @ (g[-destinations:] @ W_O.swapaxes(1, 2))
        g[-sources:] += (read @ W_V.swapaxes(1, 2)).sum(axis=0)
    here = (g * weights.W_E[activations.tokens]).sum(axis=1)
    return np.asarray(g @ weights.W_E.T - here[:, None])


def repair(window: Window, limit: float, odd: float) -> Repair:
    """A greedy search for another context in which both the new event and the observed are likely.

    Scored again is what promises the largest log p(v at s) + log p(observed), by `gains`. Of what
    is normal then, that with the largest is taken, else what is nearest to it, and the search goes
    on. What turns out not to be needed in the end is undone. No event may come to surprise by more
    than `odd` that did not before: the alert would only be another one, and come earlier.
    """
    weights, observed = window.weights, window.alert.tokens[window.index]
    tokens = window.activations.tokens.copy()
    activations = run(weights, tokens)
    likely = log_softmax(activations.logits[:-1])  # of each event but the first, and of all others
    most = np.append(np.maximum(odd, surprisal(activations.logits[:-1], tokens[1:])), limit)
    best = float(surprisal(activations.logits[-1:], np.array([observed]))[0])
    changed: list[int] = []
    for many in _TRIED:
        promised = gains(weights, activations, observed)
        promised[1:] += np.where(likely < -odd, -np.inf, likely)
        promised[[0, *changed]] = -np.inf  # nothing says what could have come first
        tried = _tried(weights, activations, observed, promised, many)
        passing = [one for one in tried if one[0] <= limit]
        passing.sort(key=lambda one: one[0] - likely[one[1] - 1, one[2]])
        for _, place, event in passing[:_LOOKED_AT]:
            other = tokens.copy()
            other[place] = event
            if np.all(_surprisal_of_each(window, other) <= most):
                return _repaired(window, most, other, [*changed, place])
        nearest = min((one for one in tried if one[0] > limit), default=(best, 0, 0))
        if nearest[0] >= best:
            break
        best, place, event = nearest
        tokens[place] = event
        changed.append(place)
        activations = run(weights, tokens, last_only=True)
    return Repair(limit, best, ())


def _surprisal_of_each(
    window: Window, tokens: Int[Array, " positions"]
) -> Float64[Array, " positions"]:
    """Of the window's events but the first if they were these, and of the observed one."""
    following = np.append(tokens[1:], window.alert.tokens[window.index])
    return surprisal(run(window.weights, tokens).logits, following)


def _tried(
    weights: Weights,
    activations: Activations,
    observed: int,
    promised: Float64[Array, "positions d_vocab"],
    many: int,
) -> list[tuple[float, int, int]]:
    """The most promising replacements scored: the observed one's surprisal, place, and event."""
    tokens = activations.tokens
    promised[:, : len(SPECIAL)] = -np.inf
    promised[np.arange(len(tokens)), tokens] = -np.inf
    promised[(tokens == START) | (tokens == PAST)] = -np.inf
    places = np.argsort(-promised.max(axis=1), kind="stable")[:_PLACES]
    best = np.argsort(-promised[places], axis=None, kind="stable")[:many]
    of, events = np.unravel_index(best, (len(places), promised.shape[1]))
    tried = []
    for at, place in enumerate(places.tolist()):
        chosen = events[(of == at) & np.isfinite(promised[place, events])]
        if len(chosen):
            logits = replaced_logits(weights, activations, place, chosen)
            left = surprisal(logits, np.full(len(chosen), observed))
            tried += [
                (s, place, event) for s, event in zip(left.tolist(), chosen.tolist(), strict=True)
            ]
    return tried


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
        if np.all(_surprisal_of_each(window, undone) <= most):
            tokens = undone
    left = _surprisal_of_each(window, tokens)
    alert, index = window.alert, window.index
    replacements = tuple(
        Replacement(
            source=window.offset + place,
            lag=index - window.offset - place,
            seconds=alert.times[index] - alert.times[window.offset + place],
            time=alert.times[window.offset + place],
            event=window.name(window.offset + place),
            by=window.vocabulary.names[tokens[place]],
            probability=math.exp(-left[place - 1]),
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
    logits = run(weights, tokens).logits[len(context) - 1 :]
    return surprisal(logits, np.array(following))
