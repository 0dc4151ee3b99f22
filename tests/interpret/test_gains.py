"""What a replacement promises is what it does where attention stays."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.directions import softmax
from offscript.interpret.gains import Gains

Make = Callable[..., SimpleNamespace]

TOKENS = np.random.default_rng(7).integers(4, 12, size=9)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_a_replacement_gains_what_was_promised_where_attention_stays(
    make_random: Make, n_layers: int
) -> None:
    weights = make_random(n_layers).weights.astype(np.float64)
    weights = replace(weights, W_Q=np.zeros_like(weights.W_Q), b_Q=np.zeros_like(weights.b_Q))
    tokens = TOKENS
    activations = run(weights, tokens)
    w = -softmax(activations.logits[-1])
    w[5] += 1.0

    whole, last = (
        Gains.of(weights, each, 5) for each in (activations, run(weights, tokens, last_only=True))
    )

    promised = whole.at(np.arange(len(tokens)))
    np.testing.assert_allclose(last.at(np.arange(len(tokens))), promised, atol=1e-12)
    assert np.all(promised <= whole.at_most()[:, None] + 1e-12)
    for position in range(1, len(tokens)):
        other = tokens.copy()
        other[position] = 10
        change = run(weights, other).logits[-1] - activations.logits[-1]
        assert promised[position, 10] == pytest.approx(change @ w, abs=1e-9)
