"""What is planted keeps to its rules, and what breaks one has the cause that is said."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from offscript.benchmarks.planted import CHANGES, Grammar, anomalies


@pytest.mark.parametrize("size", [20, 50, 100, 500])
def test_a_vocabulary_has_the_size_that_was_asked_for_and_room_for_noise(size: int) -> None:
    grammar = Grammar.of(size)

    rules = {name for r in grammar.rules for name in (*r.triggers, *r.queries, *r.answers)}

    assert len(rules) + len(grammar.noise) == size
    assert len(grammar.noise) >= size / 3


def test_the_last_trigger_before_a_query_says_the_answer() -> None:
    grammar, rng = Grammar.of(100), np.random.default_rng(0)
    seen: Counter[str] = Counter()
    for _ in range(100):
        events, answers = grammar.stream(rng)
        for answer in answers:
            rule = answer.rule
            seen[rule.kind] += 1
            if rule.kind == "bigram":
                assert (events[answer.cause], answer.at - answer.cause) == (rule.queries[0], 1)
            elif rule.kind == "induction":
                assert events[answer.cause] == events[answer.at]
                assert events[answer.cause - 1] == events[answer.at - 1]
            else:
                triggers = [i for i in range(answer.at) if events[i] in rule.triggers]
                assert triggers[-1] == answer.cause
                which = rule.triggers.index(events[answer.cause])
                assert events[answer.at] == rule.answers[which]

    assert min(seen.values()) > 30


def test_an_anomaly_ends_with_an_event_that_its_rule_forbids_there() -> None:
    found = list(anomalies(Grammar.of(100), np.random.default_rng(0), each=6))

    assert {anomaly.change for anomaly in found} == set(CHANGES)
    for anomaly in found:
        rule = anomaly.rule
        cause = anomaly.events[anomaly.cause]
        assert cause in (rule.triggers or rule.queries)
        right = rule.answers[rule.triggers.index(cause) if rule.triggers else 0]
        assert anomaly.events[-1] != right
        assert anomaly.events[-2] in rule.queries
