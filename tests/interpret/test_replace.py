"""Replacing an event scores as the replaced stream does."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.replace import replaced_logits
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
