"""The rules of a model are those that it was built to keep, and that its training showed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from offscript.interpret.card import Rule
from offscript.interpret.naming import Reading
from offscript.interpret.reference import fit_reference, read_reference
from offscript.interpret.rules import carriers, rules
from offscript.interpret.sample import draw_windows, observe, read_windows
from offscript.interpret.skips import fit_skips
from offscript.model.config import DecoderConfig
from offscript.model.vocabulary import START
from offscript.model.weights import Weights, random_weights
from offscript.tests.interpret.handmade import two_rules

NAMES = ("<start>", "<past>", "<end>", "<new>", "a", "b", "query", "c", "of a", "of b")
TAUGHT = ([4, 6, 8], [5, 6, 9], [7, 6, 7])


def built() -> Weights:
    """A head that looks at a and b and makes their answers; the direct path makes query of c."""
    weights = two_rules()
    weights.W_U[7, 6] = 12.0
    return weights


def stated(weights: Weights, sequences: Sequence[Sequence[int]]) -> tuple[Rule, ...]:
    """The rules of weights as if they had been trained on these sequences."""
    tokens = [np.array([START, *sequence]) for sequence in sequences]
    arrays = {**fit_reference(weights, tokens), **draw_windows(weights, tokens)}
    arrays |= fit_skips(weights, arrays, tokens)
    sample = observe(weights, read_windows(arrays))
    return rules(Reading(NAMES, weights, read_reference(arrays, weights), sample), arrays)


def test_a_model_states_what_it_was_built_to_do_and_what_does_it() -> None:
    found = stated(built(), [*TAUGHT] * 25)

    said = {(rule.kind, rule.earlier, rule.last, rule.following): rule for rule in found}
    assert set(said) == {
        ("bigram", None, "c", "query"),
        ("skip-trigram", "a", "query", "of a"),
        ("skip-trigram", "b", "query", "of b"),
    }
    assert [head.event for head in said["bigram", None, "c", "query"].heads] == ["direct"]
    answered = said["skip-trigram", "a", "query", "of a"]
    assert [head.event for head in answered.heads] == ["L0H0"]
    assert answered.effect > 4.0
    assert (answered.support, answered.chances) == (25, 25)
    assert answered.expected > 0.9


def test_what_training_hardly_showed_is_no_rule() -> None:
    assert stated(built(), [*TAUGHT] * 10) == ()


def test_what_the_last_event_says_by_itself_is_not_said_again_of_those_before() -> None:
    weights = built()
    weights.W_U[6, 8] = 12.0  # of a follows the query, whatever was before

    found = stated(weights, [[4, 6, 8], [5, 6, 8], [7, 6, 8]] * 25)

    assert ("bigram", "query", "of a") in {(rule.kind, rule.last, rule.following) for rule in found}
    assert "skip-trigram" not in {rule.kind for rule in found}


def test_both_heads_of_a_virtual_one_carry_what_it_brings() -> None:
    found = carriers(("L0H0", "L1H0", "L0H0→L1H0", "L0H1→L1H0"), np.array([1.0, 2.0, 6.0, 0.5]))

    assert [(head.event, head.value) for head in found] == [("L1H0", 8.5), ("L0H0", 7.0)]


def test_a_rule_that_many_heads_carry_alike_names_one() -> None:
    names = tuple(f"L0H{head}" for head in range(16))

    found = carriers(names, np.array([1.1, *[1.0] * 15]))

    assert [head.event for head in found] == ["L0H0"]


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_random_weights_state_little(n_layers: int) -> None:
    config = DecoderConfig(10, n_layers, d_model=10, n_heads=2, d_head=4, window=8)
    rng = np.random.default_rng(0)

    found = stated(
        random_weights(config, seed=0).astype(np.float64), rng.integers(4, 10, (30, 8)).tolist()
    )

    assert len(found) <= 1
