"""What training showed of an event before the last one is counted; what it never showed is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offscript.interpret import contexts
from offscript.interpret.alert_page import alert_page
from offscript.interpret.contexts import Support, fit_contexts, read_contexts
from offscript.interpret.explain import explain
from offscript.interpret.explanation import Evidence, Explanation
from offscript.interpret.reference import fit_reference
from offscript.interpret.text import text
from offscript.model.alert import Alert
from offscript.model.vocabulary import NEW, PAST, START
from offscript.model.weights import Weights
from offscript.tests.interpret.handmade import one_head, two_rules

Make = Callable[..., SimpleNamespace]
MakeAlert = Callable[..., Alert]


def counted(weights: Weights, sequences: Sequence[np.ndarray], times: np.ndarray) -> dict[str, Any]:
    reference = fit_reference(weights, sequences, times)
    return fit_contexts(reference, sequences, times, reach=3)


def by_hand(
    sequences: Sequence[np.ndarray], times: np.ndarray, k: int, q: int, expected: set[int]
) -> Support:
    after = [
        int(s[t + 1])
        for s, n in zip(sequences, times.tolist(), strict=True)
        for t in list(range(len(s) - 1)) * n
        if s[t] == q and k in s[max(0, t - 3) : t].tolist()
    ]
    return Support(sum(v in expected for v in after), len(after))


def drawn(kinds: int) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    sequences = [
        np.array([START, *rng.integers(4, 4 + kinds, size=rng.integers(0, 12))]) for _ in range(60)
    ]
    return sequences, rng.integers(1, 4, size=60)


def test_support_is_what_counting_by_hand_gives() -> None:
    sequences, times = drawn(5)

    found = read_contexts(counted(two_rules(), sequences, times))

    for k, q in product((START, 4, 5, 6, 9), (4, 5, 8)):
        expected = {4, 6}
        by_count = by_hand(sequences, times, k, q, expected)
        assert found.support(k, q, expected, 10) == by_count


@pytest.mark.parametrize("room", ["_COUNTED", "_KEPT"])
def test_where_room_ends_what_is_known_is_still_right_and_the_rest_unknown(
    monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    sequences, times = drawn(5)
    monkeypatch.setattr(contexts, room, 130)

    arrays = counted(two_rules(), sequences, times)

    found = read_contexts(arrays)
    assert len(arrays["contexts"]) <= 130
    known = {q for q in (START, 4, 5, 6, 7, 8) if found.support(4, q, {5}, 10) is not None}
    assert 0 < len(known) < 6
    for q in known:
        assert found.support(5, q, {4, 6}, 10) == by_hand(sequences, times, 5, q, {4, 6})


def test_of_what_training_makes_itself_no_count_is_claimed() -> None:
    sequences, times = drawn(5)
    found = read_contexts(counted(two_rules(), sequences, times))

    assert found.support(PAST, 4, {5}, 10) is None
    assert found.support(NEW, 4, {5}, 10) is None
    assert found.support(4, 11, {5}, 10) is None
    assert read_contexts({}).support(4, 5, {6}, 10) is None


def explained(
    make_model: Make,
    make_alert: MakeAlert,
    weights: Weights,
    taught: Sequence[Sequence[int]],
    tokens: Sequence[int],
) -> Explanation:
    model = make_model(weights)
    sequences, times = [np.array(each) for each in taught], np.full(len(taught), 20)
    reference = fit_reference(weights, sequences, times)
    model.reference = {**reference, **fit_contexts(reference, sequences, times, reach=7)}
    return explain(model, make_alert(tokens))


def evidence(explanation: Explanation, event: str) -> Evidence:
    return next(each for each in explanation.attributions[0].evidence if each.event == event)


# 4 … 6 → 8 and 5 … 7 → 9; the head makes 8 of 4 and 9 of 5 after whatever came last.
TAUGHT = ([START, 4, 6, 8], [START, 5, 7, 9], [START, 6, 9], [START, 7, 8])


def test_a_rule_that_training_showed_is_told_with_how_often(
    make_model: Make, make_alert: MakeAlert
) -> None:
    explanation = explained(make_model, make_alert, two_rules(), TAUGHT, (START, 4, 6, 7))

    assert evidence(explanation, "event 0").support == Support(20, 20)
    assert not any(warning.startswith("phantom") for warning in explanation.warnings)
    assert "20 times in training before `event 2`; an expected event next: 20 times" in text(
        explanation
    )


def test_a_rule_whose_context_training_never_showed_is_a_phantom(
    make_model: Make, make_alert: MakeAlert
) -> None:
    explanation = explained(make_model, make_alert, two_rules(), TAUGHT, (START, 4, 7, 6))

    assert evidence(explanation, "event 0").support == Support(0, 0)
    (warning,) = (w for w in explanation.warnings if w.startswith("phantom: "))
    assert "training never showed `event 0`, here 2 back, before `event 3`; " in warning
    assert "never in training before `event 3`" in text(explanation)
    assert "never in training before <code>event 3</code>" in alert_page(explanation)


def test_a_rule_that_training_showed_otherwise_is_a_phantom(
    make_model: Make, make_alert: MakeAlert
) -> None:
    taught = (*TAUGHT, [START, 4, 7, 9])

    explanation = explained(make_model, make_alert, two_rules(), taught, (START, 4, 7, 6))

    assert evidence(explanation, "event 0").support == Support(0, 20)
    (warning,) = (w for w in explanation.warnings if w.startswith("phantom: "))
    assert "before `event 3` 20 times, at any distance, and no expected event next" in warning


def test_to_lower_what_came_needs_no_support(make_model: Make, make_alert: MakeAlert) -> None:
    lowers = one_head({4: 20.0}, {4: -4.0}, makes=6)
    b_U = lowers.b_U.copy()
    b_U[8] = 4.0

    explanation = explained(
        make_model, make_alert, replace(lowers, b_U=b_U), TAUGHT, (START, 4, 7, 6)
    )

    lowering = evidence(explanation, "event 0")
    assert lowering.support == Support(0, 0)
    assert lowering.value > 3.0
    assert not any(warning.startswith("phantom") for warning in explanation.warnings)


def test_a_model_that_kept_no_contexts_knows_no_support(
    make_model: Make, make_alert: MakeAlert
) -> None:
    explanation = explain(make_model(two_rules()), make_alert((START, 4, 7, 6)))

    assert evidence(explanation, "event 0").support is None
    assert not any(warning.startswith("phantom") for warning in explanation.warnings)
    assert "in training never" not in text(explanation)
