"""An explanation says what speaks against believing it, and says nothing where nothing does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.explain import explain
from offscript.interpret.explanation import Evidence, Explanation
from offscript.interpret.reference import fit_reference
from offscript.interpret.text import text
from offscript.model.alert import Alert
from offscript.model.vocabulary import NEW, PAST, START
from offscript.model.weights import Weights
from offscript.tests.interpret.handmade import one_head, undone

Explained = Callable[[Weights, Sequence[int]], Explanation]


@pytest.fixture
def explained(
    make_model: Callable[..., SimpleNamespace], make_alert: Callable[..., Alert]
) -> Explained:
    """Tokens explained by weights alone, all events being as usual as others."""

    def explained(weights: Weights, tokens: Sequence[int]) -> Explanation:
        return explain(make_model(weights, reference=False), make_alert(tokens))

    return explained


def of(explanation: Explanation, lag: int) -> Evidence:
    (item,) = (each for each in explanation.attributions[0].evidence if each.lag == lag)
    return item


def test_evidence_that_others_would_outdo_fails_its_check(explained: Explained) -> None:
    # Without 4 the head looks at 5, which brings more of what 4 is credited with.
    weights = one_head({4: 20.0, 5: 10.0}, {4: 3.0, 5: 9.0}, makes=8)

    explanation = explained(weights, (START, 5, 4, 6, 7))

    assert of(explanation, 2).value > 0.0
    check = of(explanation, 2).check
    assert check is not None
    assert check.effect < 0.0
    assert check.verdict == "failed"
    assert any("the check of `event 0`, 2 back, failed" in w for w in explanation.warnings)


def test_evidence_that_does_what_it_is_credited_with_raises_no_doubt(explained: Explained) -> None:
    explanation = explained(one_head({4: 20.0}, {4: 3.0}, makes=8), (START, 5, 4, 6, 7))

    check = of(explanation, 2).check
    assert check is not None
    assert check.verdict == "confirmed"
    assert check.effect == pytest.approx(3.0, abs=0.6)
    assert explanation.warnings == ()


def test_an_effect_within_two_standard_errors_is_weak(explained: Explained) -> None:
    # Two of the typical events in its place bring far more, all others nothing.
    weights = one_head(dict.fromkeys((4, 9, 10), 20.0), {4: 3.0, 9: 10.0, 10: 10.0}, makes=8)

    check = of(explained(weights, (START, 5, 4, 6, 7)), 2).check

    assert check is not None
    assert 0.0 < check.effect < 2.0 * check.standard_error
    assert check.verdict == "weak"


def test_a_check_with_the_one_other_beginning_claims_no_standard_error(
    explained: Explained,
) -> None:
    explanation = explained(one_head({START: 20.0}, {START: 3.0}, makes=8), (START, 6, 7))

    check = of(explanation, 2).check
    assert check is not None
    assert (check.draws, check.verdict) == (1, "single")
    assert math.isnan(check.standard_error)
    assert "check of one draw: with the other beginning in its place 0.0 bits" in text(explanation)


def test_paths_that_undo_each_other_are_told(explained: Explained) -> None:
    explanation = explained(undone(0.95), (START, 5, 4, 6, 7))

    (warning,) = explanation.warnings
    assert warning.startswith("what layer 0 wrote about `event 0`, 2 back, is undone by layer 1")


def test_paths_that_take_a_part_back_are_no_cause_for_doubt(explained: Explained) -> None:
    assert explained(undone(0.5), (START, 5, 4, 6, 7)).warnings == ()


@pytest.mark.parametrize(("times", "said"), [(4, ["only 4 times"]), (5, [])])
def test_a_last_event_that_training_hardly_showed_is_told(
    make_model: Callable[..., SimpleNamespace],
    make_alert: Callable[..., Alert],
    times: int,
    said: list[str],
) -> None:
    model = make_model(one_head({4: 20.0}, {4: 3.0}, makes=8))
    often = [np.array([START, 4, 5, 6, 7])] * 20
    model.reference = fit_reference(model.weights, [*often, *[np.array([START, 11, 8])] * times])

    warnings = explain(model, make_alert((START, 4, 5, 11, 7))).warnings

    assert len(warnings) == len(said)
    assert all(words in warning for words, warning in zip(said, warnings, strict=True))


def test_what_no_model_can_know_of_an_unseen_event_is_told(explained: Explained) -> None:
    explanation = explained(one_head({NEW: 20.0}, {NEW: 3.0}, makes=8), (START, NEW, 5, NEW, 6, 7))

    (warning,) = explanation.warnings
    assert warning.startswith("training never showed what came 2 back and 4 back: ")
    last = explained(one_head({4: 20.0}, {4: 3.0}, makes=8), (START, 4, NEW, 7))
    assert last.warnings[0].startswith("training never showed what came right before: ")


def test_an_unseen_event_that_nothing_rests_on_is_no_cause_for_doubt(explained: Explained) -> None:
    weights = one_head({4: 20.0}, {4: 3.0}, makes=8)

    assert explained(weights, (START, NEW, 4, 6, 7)).warnings == ()


def test_evidence_of_having_joined_in_the_middle_is_told(explained: Explained) -> None:
    weights = one_head({PAST: 20.0}, {PAST: 3.0}, makes=8)

    (warning,) = explained(weights, (PAST, 5, 6, 7)).warnings

    assert warning.startswith("this stream was joined in the middle: ")
    assert explained(weights, (START, 5, 6, 7)).warnings == ()
