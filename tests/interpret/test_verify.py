"""Replacing an event scores as the replaced stream does."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.reference import read_reference
from offscript.interpret.verify import cancels, replaced_logits, replacements
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

TOKENS = np.random.default_rng(5).integers(4, 12, size=15)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("window", [1, 4, 32])
def test_replacing_one_event_scores_as_the_replaced_stream_does(
    make_random: Make, n_layers: int, window: int
) -> None:
    weights = make_random(n_layers, window=window).weights.astype(np.float64)
    draws = np.array([4, 9, 11])

    for tokens in (TOKENS[:1], TOKENS[:8], TOKENS):
        activations = run(weights, tokens, last_only=True)
        for position in range(len(tokens)):
            got = replaced_logits(weights, activations, position, draws)
            for draw, logits in zip(draws, got, strict=True):
                replaced = tokens.copy()
                replaced[position] = draw
                expected = run(weights, replaced).logits[-1]
                np.testing.assert_allclose(logits, expected, atol=1e-10)


def test_attention_that_was_all_on_the_replaced_event_is_no_trouble(induction: Weights) -> None:
    tokens = np.array([0, 5, 6, 7, 8, 5])
    activations = run(induction, tokens)

    got = replaced_logits(induction, activations, 2, np.array([9]))[0]

    replaced = run(induction, np.array([0, 5, 9, 7, 8, 5])).logits[-1]
    np.testing.assert_allclose(got, replaced, atol=1e-10)


def test_replacements_are_as_frequent_as_in_training_and_never_the_event_itself(
    make_random: Make,
) -> None:
    model = make_random()
    reference = read_reference(model.reference, model.weights)

    draws = replacements(5, reference)

    assert len(draws) == 16
    assert not {0, 1, 2, 5} & set(draws.tolist())


def test_a_beginning_is_replaced_by_the_other_kind_of_beginning(make_random: Make) -> None:
    model = make_random()
    reference = read_reference(model.reference, model.weights)

    assert replacements(0, reference).tolist() == [1]
    assert replacements(1, reference).tolist() == [0]


def test_cancelling_means_undone_by_more_than_four_fifths() -> None:
    assert cancels(5.0, -4.9)
    assert not cancels(5.0, -2.0)
    assert not cancels(5.0, 4.9)
