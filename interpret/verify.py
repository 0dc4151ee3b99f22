"""Checks of a claim by intervention: another event in the evidence's place, scored again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ..model.vocabulary import PAST, SPECIAL, START
from ..model.weights import Weights
from .activations import Activations
from .directions import Direction
from .reference import Reference
from .replace import replaced_logits

Array = np.ndarray

DRAWS = 16


@dataclass(frozen=True)
class Check:
    """What happened to the total when other events stood in the evidence's place.

    `verdict`: "confirmed", the total moved as claimed by more than two standard errors; "weak", as
    claimed, but by less; "single", as claimed, with the one typical event that there was to try;
    "failed", the other way.
    """

    draws: int
    effect: float  # total as it was − mean of the totals after replacement, nats
    standard_error: float  # nan of a single draw
    verdict: str


def check(
    weights: Weights,
    activations: Activations,
    position: int,
    direction: Direction,
    value: float,
    reference: Reference,
) -> Check:
    """Whether the event at `position` makes the difference `value` that was claimed for it."""
    tokens = replacements(int(activations.tokens[position]), reference)
    logits = replaced_logits(weights, activations, position, tokens)
    effects = direction.total - direction.measure(logits)
    effect = float(effects.mean())
    single = len(effects) == 1
    error = math.nan if single else float(effects.std() / np.sqrt(len(effects) - 1))
    if effect * value <= 0.0:
        verdict = "failed"
    elif single:
        verdict = "single"
    else:
        verdict = "confirmed" if abs(effect) > 2.0 * error else "weak"
    return Check(len(tokens), effect, error, verdict)


def replacements(token: int, reference: Reference) -> Int[Array, " draws"]:
    """Typical events other than `token`: evenly spaced quantiles of how often each is read.

    The spread of such draws is at most that of random ones, so their standard error is on the safe
    side, and nothing is left to chance. A stream's beginning is replaced by the other kind. Where
    all draws would be the same event, there is one: its repetition would prove nothing.
    """
    if token in (START, PAST):
        return np.array([PAST if token == START else START])
    weight = reference.last.copy()
    weight[[START, PAST, token]] = 0.0
    if not weight.sum():  # nothing else was ever read
        weight[len(SPECIAL) - 1 :] = 1.0
        weight[token] = 0.0
    if not weight.sum():
        return np.array([PAST])
    order = np.argsort(-weight, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    drawn = order[np.searchsorted(share, (np.arange(DRAWS) + 0.5) / DRAWS)]
    return np.asarray(drawn[:1] if (drawn == drawn[0]).all() else drawn)


def cancels(first: float, virtual: float) -> bool:
    """Whether what layer 0 wrote about an event is undone, by over 80 %, by heads that read it."""
    return first * virtual < 0.0 and abs(first + virtual) < 0.2 * (abs(first) + abs(virtual))
