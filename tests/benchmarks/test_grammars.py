"""Grammars keep to their rules, and a card is judged by what it says and by what heads do."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.benchmarks import grammars
from offscript.benchmarks.grammars_ablate import (
    layer_of,
    sources_of,
    usual_outputs,
    without_entry,
    without_head,
)
from offscript.benchmarks.grammars_streams import GRAMMARS, Answer, Grammar
from offscript.benchmarks.handmade import broken_repetitions, induction
from offscript.benchmarks.planted_model import fit_streams
from offscript.benchmarks.results import read_results
from offscript.interpret.activations import run
from offscript.interpret.paths import expand
from offscript.interpret.reference import fit_reference, read_reference
from offscript.interpret.sample import draw_windows
from offscript.interpret.skips import fit_skips
from offscript.model.config import DecoderConfig
from offscript.model.vocabulary import START
from offscript.model.weights import random_weights


def drawn(name: str, noise: float, streams: int) -> list[tuple[list[str], list[Answer]]]:
    rng = np.random.default_rng(0)
    return [Grammar(GRAMMARS[name], noise).stream(rng) for _ in range(streams)]


def due(events: list[str], answer: Answer) -> str | None:
    """The answer that the docstring of the grammars says, found from the events alone."""
    rule, before = answer.rule, events[: answer.at]
    came = [events.index(trigger) for trigger in rule.triggers if trigger in before]
    if rule.kind == "bigram":
        return rule.answers[0]
    if rule.kind == "skip":
        return rule.answers[rule.triggers.index(events[came[0]])] if came else None
    if rule.kind == "induction":
        return before[before.index(before[-1]) + 1]
    enough = {
        "count": sum(event in rule.triggers for event in before) >= 4,
        "both": len(came) == 2,
        "either": len(came) == 1,
    }
    return rule.answers[0] if enough[rule.kind] else None


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_query_is_followed_by_its_answer_unless_noise_comes(name: str) -> None:
    asked: Counter[str] = Counter()
    broken = 0
    for events, answers in drawn(name, 0.2, 80):
        for answer in answers:
            asked[answer.rule.kind] += 1
            assert events[answer.at - 1] in answer.rule.queries
            assert answer.due == due(events, answer)
            assert events[answer.at] == answer.due or events[answer.at].startswith("noise")
            broken += answer.due is not None and events[answer.at] != answer.due

    assert set(asked) == {rule.kind for rule in GRAMMARS[name]}
    assert broken > 15


@pytest.mark.parametrize("name", ["count", "conjunction"])
def test_no_trigger_of_several_makes_the_answer_likelier_than_not(name: str) -> None:
    came: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for events, answers in drawn(name, 0.0, 300):
        for answer in answers:
            if not answer.rule.sayings():
                for trigger in set(answer.rule.triggers) & set(events[: answer.at]):
                    came[trigger] += 1
                    answered[trigger] += answer.due is not None

    assert all(0.3 < answered[trigger] / came[trigger] < 0.5 for trigger in came)


def test_what_the_grammar_expects_sums_to_one() -> None:
    grammar = Grammar(GRAMMARS["bigram"], 0.1)
    noise = [f"noise {i}" for i in range(12)]

    given = [math.exp(-grammar.surprisal(event, "answer")) for event in [*noise, "answer"]]
    free = [math.exp(-grammar.surprisal(event, None)) for event in noise]

    assert sum(given) == pytest.approx(1.0)
    assert given[-1] == pytest.approx(0.9)
    assert sum(free) == pytest.approx(1.0)


def test_without_its_head_a_rule_is_gone_and_without_another_it_stays() -> None:
    model = induction()
    cases = broken_repetitions(model, 10)
    usual = usual_outputs(model.weights, [question.tokens for question, _ in cases])
    tokens, at = cases[0][0].tokens, cases[0][1]
    repeated = int(tokens[at])

    at_work = run(model.weights, tokens)
    gone, blind, same = (
        without_head(model.weights, head, usual, at_work)[-1] for head in ("L1H0", "L0H0", "L1H1")
    )

    whole = at_work.logits[-1]
    assert whole.argmax() == repeated
    assert whole[repeated] > 10.0
    assert gone[repeated] < 3.0
    assert blind[repeated] < 3.0
    assert same == pytest.approx(whole)


@pytest.mark.parametrize(("n_layers", "head"), [(1, "L0H1"), (2, "L1H0"), (2, "L1H2")])
def test_without_an_entry_the_logits_lose_the_evidence_of_its_events_through_the_head(
    n_layers: int, head: str
) -> None:
    config = DecoderConfig(12, n_layers, d_model=10, n_heads=3, d_head=4, window=8)
    weights = random_weights(config, seed=0, scale=0.6).astype(np.float64)
    tokens = np.array([START, *np.random.default_rng(0).integers(4, 8, size=11)])
    reference = read_reference(fit_reference(weights, [tokens]), weights)
    at_work, sources = run(weights, tokens), tokens == 6

    cut = without_entry(weights, head, reference.means, at_work, sources)

    # What is usual after each event: at the last position, after the last one.
    after_last = replace(reference, mean=reference.means[tokens[-1]])
    paths = expand(weights, at_work, np.eye(12), after_last)
    through = [at for at, name in enumerate(paths.names) if name.endswith(head)]
    evidence = paths.evidence[:, through][:, :, sources].sum(axis=(1, 2))
    assert len(through) == (1 if n_layers == 1 else 4)
    assert np.abs(evidence).max() > 0.05
    np.testing.assert_allclose(cut[-1], at_work.logits[-1] - evidence, atol=1e-9)


@pytest.mark.parametrize("head", ["L0H0", "L1H0"])
def test_without_its_entry_a_rule_is_gone_and_without_another_it_stays(head: str) -> None:
    model = induction()
    question, at = broken_repetitions(model, 1)[0]
    tokens, repeated = question.tokens, int(question.tokens[at])
    ids = {str(token): token for token in range(model.weights.d_vocab)}
    at_work = run(model.weights, tokens)
    other = next(t for t in tokens[2:].tolist() if t not in (tokens[-1], repeated))

    def left(last: int) -> float:
        rule = {"kind": "induction", "earlier": None, "last": str(last), "following": None}
        sources = sources_of(rule, layer_of(head), tokens, ids)
        cut = without_entry(model.weights, head, model.reference.means, at_work, sources)
        return float(cut[-1, repeated])

    whole = float(at_work.logits[-1, repeated])
    assert whole > 10.0
    assert left(int(tokens[-1])) < 0.6 * whole
    assert left(other) == pytest.approx(whole, rel=0.05)


@pytest.mark.slow
def test_of_a_network_of_random_weights_nothing_is_right(tmp_path: Path) -> None:
    grammar, rng = Grammar(GRAMMARS["skip"], 0.0), np.random.default_rng(0)
    streams = [grammar.stream(rng)[0] for _ in range(60)]
    fitted = fit_streams(streams, tmp_path, held=10, steps=1, seed=0)
    weights = random_weights(fitted.config.decoder, seed=0)
    tokens = [np.array([START, *fitted.vocabulary.ids(events)]) for events in streams]
    reference = {**fit_reference(weights, tokens), **draw_windows(weights, tokens)}
    reference |= fit_skips(weights, reference, tokens)
    model = replace(fitted, weights=weights, reference=reference)

    found = grammars.judge_model(model, grammar, rng)

    assert (found.planted, found.right, found.ablated) == (9, 0, ())
    assert found.answer_loss > 1.0


@pytest.mark.slow
def test_one_command_writes_what_the_cards_of_a_grammar_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammars, "NOISE", (0.1,))
    monkeypatch.setattr(grammars, "SEEDS", (0,))

    grammars.main(["bigram", "--results", str(tmp_path)])

    rows = read_results(tmp_path / "grammars.json").rows
    values = {(row.dataset, row.measure): row.value for row in rows}
    assert values["bigram_0.1", "precision"] == values["all", "precision"] == 1.0
    assert values["all", "recall"] == 1.0
    assert values["all", "answer_loss"] < 0.1
