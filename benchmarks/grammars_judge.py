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
from ..model.folder import Model
from ..model.vocabulary import START
from ..model.weights import Weights
from .grammars_streams import Answer, Grammar, Rule, Saying

Array = np.ndarray


@dataclass(frozen=True)
class Asked:
    """A stream as tokens, and what came after its queries."""

    tokens: Int[Array, " positions"]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Ablated:
    """What is left of the answers where a head brings only what is usual after each event."""

    probability: float  # of the answers of the rule that the head is named for first
    left: float  # without the head
    own: float  # nats of log-odds that they lose
    others: float  # that other rules' answers lose or gain, mean
    unnamed: float | None  # that stated rules' answers do for which the head is not named


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
    """For each rule that the card rightly states, the head that it names first taken away."""
    planted = {saying: rule for rule in grammar.rules for saying in rule.sayings()}
    named = {saying_of(rule): [head["event"] for head in rule["heads"]] for rule in rules}
    carried = {s: heads[0] for s, heads in named.items() if s in planted and heads[0] != "direct"}
    weights = model.weights.astype(np.float64)
    usual = usual_outputs(weights, [each.tokens for each in asked])
    whole = _log_odds(model, asked, [run(weights, each.tokens).logits for each in asked])
    found = []
    for head in sorted(set(carried.values())):
        logits = [without_head(weights, head, usual, each.tokens) for each in asked]
        left = _log_odds(model, asked, logits)
        lost = {key: float((whole[key] - left[key]).mean()) for key in whole}
        apart = [
            lost[planted[s], s] for s, heads in named.items() if s in planted and head not in heads
        ]
        for saying in (each for each, first in carried.items() if first == head):
            own = planted[saying], saying
            others = [value for (rule, _), value in lost.items() if rule != own[0]]
            found.append(
                Ablated(
                    probability=float(_sigmoid(whole[own]).mean()),
                    left=float(_sigmoid(left[own]).mean()),
                    own=lost[own],
                    others=float(np.abs(others).mean()),
                    unnamed=float(np.abs(apart).mean()) if apart else None,
                )
            )
    return found


def _log_odds(
    model: Model, asked: Sequence[Asked], logits: Sequence[Float64[Array, "_ d_vocab"]]
) -> dict[tuple[Rule, Saying | None], Float64[Array, " answers"]]:
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


def usual_outputs(
    weights: Weights, windows: Sequence[Int[Array, " _"]]
) -> Float64[Array, "layers d_vocab heads d_head"]:
    """What each head reads on average after each event, before W_O; nothing after unseen ones."""
    sums = np.zeros((weights.n_layers, weights.d_vocab, weights.n_heads, weights.d_head))
    times = np.zeros(weights.d_vocab)
    for tokens in windows:
        np.add.at(times, tokens, 1.0)
        for layer, at_work in enumerate(run(weights, tokens).layers):
            np.add.at(sums[layer], tokens, at_work.z.swapaxes(0, 1))
    return np.asarray(sums / np.maximum(times, 1.0)[:, None, None])


def without_head(
    weights: Weights,
    name: str,
    usual: Float64[Array, "layers d_vocab heads d_head"],
    tokens: Int[Array, " positions"],
) -> Float64[Array, "positions d_vocab"]:
    """The logits where the head brings what is usual after each event, and all later heads see it.

    A layer at a time: one whose "embeddings" are the residual stream of this very window.
    """
    layer_of, head = (int(number) for number in name[1:].split("H"))
    resid = weights.W_E[tokens]
    unread = {"W_U": np.zeros((weights.d_model, len(tokens))), "b_U": np.zeros(len(tokens))}
    for layer in range(weights.n_layers):
        alone = {
            key: array[layer : layer + 1]
            for key, array in weights.arrays().items()
            if key not in ("W_E", *unread)
        }
        z = run(Weights(W_E=resid, **alone, **unread), np.arange(len(tokens))).layers[0].z.copy()
        if layer == layer_of:
            z[head] = usual[layer, tokens, head]
        resid = resid + np.einsum("htd,hdm->tm", z, weights.W_O[layer]) + weights.b_O[layer]
    return np.asarray(resid @ weights.W_U + weights.b_U)
