"""What a card says of a network put beside the rules of its grammar, and beside what heads do.

`saying_of` takes a rule from the card's JSON, so that nothing but what a user sees is judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from ..interpret.activations import run
from ..interpret.directions import softmax
from ..interpret.reference import read_reference
from ..model.folder import Model
from ..model.vocabulary import START
from .grammars_ablate import (
    layer_of,
    sources_of,
    usual_outputs,
    without_entry,
    without_head,
)
from .grammars_streams import Answer, Grammar, Rule, Saying

Array = np.ndarray


@dataclass(frozen=True)
class Asked:
    """A stream as tokens, and what came after its queries."""

    tokens: Int[Array, " positions"]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Ablated:
    """What is left of a rule's answers where the head that is named for it first brings the usual.

    All of the head, or by path: its entry for the rule, what it reads of the rule's own event.
    """

    probability: float  # of the answers of the rule
    left: float  # without the head
    own: float  # nats of log-odds that they lose
    others: float  # that other rules' answers lose or gain, mean
    unnamed: float | None  # that stated rules' answers do for which the head is not named
    path_left: float  # as above, without the entry
    path_own: float
    path_others: float


def saying_of(rule: Mapping[str, Any]) -> Saying:
    """A rule of a card's JSON, without its numbers."""
    return rule["kind"], rule["earlier"], rule["last"], rule["following"]


def draw_asked(
    model: Model, grammar: Grammar, streams: int, rng: np.random.Generator
) -> list[Asked]:
    """Streams that the model has not seen."""
    drawn = (grammar.stream(rng) for _ in range(streams))
    return [
        Asked(np.array([START, *model.vocabulary.ids(events)]), tuple(answers))
        for events, answers in drawn
    ]


def answer_losses(
    model: Model, grammar: Grammar, asked: Sequence[Asked]
) -> tuple[Float64[Array, " answers"], Float64[Array, " answers"]]:
    """Surprisal of what came after every query, by the network and by the grammar, in nats."""
    weights, names = model.weights.astype(np.float64), model.vocabulary.names
    ours, least = [], []
    for each in asked:
        predicted = softmax(run(weights, each.tokens[:-1]).logits)
        for answer in each.answers:
            came = int(each.tokens[answer.at + 1])
            ours.append(-np.log(predicted[answer.at, came]))
            least.append(grammar.surprisal(names[came], answer.due))
    return np.array(ours), np.array(least)


def ablations(
    model: Model,
    rules: Sequence[Mapping[str, Any]],
    grammar: Grammar,
    asked: Sequence[Asked],
) -> list[Ablated]:
    """For each rule that the card rightly states, the head that it names first taken away.

    Once all of it, and once its entry for the rule alone.
    """
    planted = {saying: rule for rule in grammar.rules for saying in rule.sayings()}
    named = {saying_of(rule): [head["event"] for head in rule["heads"]] for rule in rules}
    carried = {s: heads[0] for s, heads in named.items() if s in planted and heads[0] != "direct"}
    weights = model.weights.astype(np.float64)
    runs = [run(weights, each.tokens) for each in asked]
    usual = usual_outputs(weights, [each.tokens for each in asked])
    means = read_reference(model.reference, weights).means
    ids = {name: token for token, name in enumerate(model.vocabulary.names)}
    whole = _log_odds(model, asked, [each.logits for each in runs])
    stated = {saying_of(rule): rule for rule in rules}
    found = []
    for head in sorted(set(carried.values())):
        left = _log_odds(model, asked, [without_head(weights, head, usual, each) for each in runs])
        lost = _lost(whole, left)
        apart = [
            lost[planted[s], s] for s, heads in named.items() if s in planted and head not in heads
        ]
        for saying in (each for each, first in carried.items() if first == head):
            own = planted[saying], saying
            cut = [
                without_entry(weights, head, means, each, sources)
                for each in runs
                for sources in [sources_of(stated[saying], layer_of(head), each.tokens, ids)]
            ]
            path_left = _log_odds(model, asked, cut)
            path_lost = _lost(whole, path_left)
            found.append(
                Ablated(
                    probability=float(_sigmoid(whole[own]).mean()),
                    left=float(_sigmoid(left[own]).mean()),
                    own=lost[own],
                    others=_mean_of_others(lost, own[0]),
                    unnamed=float(np.abs(apart).mean()) if apart else None,
                    path_left=float(_sigmoid(path_left[own]).mean()),
                    path_own=path_lost[own],
                    path_others=_mean_of_others(path_lost, own[0]),
                )
            )
    return found


_Key = tuple[Rule, Saying | None]


def _lost(whole: Mapping[_Key, Array], left: Mapping[_Key, Array]) -> dict[_Key, float]:
    """Mean nats of log-odds that the answers of each saying lose."""
    return {key: float((whole[key] - left[key]).mean()) for key in whole}


def _mean_of_others(lost: Mapping[_Key, float], own: Rule) -> float:
    """How far the answers of the other rules move, to either side."""
    return float(np.mean([abs(value) for (rule, _), value in lost.items() if rule != own]))


def _log_odds(
    model: Model, asked: Sequence[Asked], logits: Sequence[Float64[Array, "_ d_vocab"]]
) -> dict[_Key, Float64[Array, " answers"]]:
    """log p / (1 − p) of every answer that was due, by what says it; whether it came or not."""
    found: dict[tuple[Rule, Saying | None], list[float]] = defaultdict(list)
    for each, z in zip(asked, logits, strict=True):
        for answer in each.answers:
            if answer.due is not None:
                query = model.vocabulary.names[each.tokens[answer.at]]
                (due,) = model.vocabulary.ids([answer.due])
                row = z[answer.at]
                rest = np.logaddexp.reduce(np.delete(row, due))
                found[answer.rule, answer.rule.saying(query, answer.due)].append(row[due] - rest)
    return {key: np.array(values) for key, values in found.items()}


def _sigmoid(x: Float64[Array, " _"]) -> Float64[Array, " _"]:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))
