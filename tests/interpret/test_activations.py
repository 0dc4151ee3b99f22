"""The float64 run is the decoder of the formula."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offscript.interpret.activations import ending, predict, predict_all, rerun, run
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]


def torch_logits(weights: Weights, tokens: np.ndarray) -> Any:
    """The decoder's formula written down once more, in torch."""
    torch = pytest.importorskip("torch")
    w = {name: torch.tensor(array) for name, array in weights.arrays().items()}
    x = w["W_E"][torch.tensor(tokens)]
    for layer in range(weights.n_layers):
        out = w["b_O"][layer].expand_as(x).clone()
        for head in range(weights.n_heads):
            q, k, v = (
                x @ w[f"W_{name}"][layer, head] + w[f"b_{name}"][layer, head] for name in "QKV"
            )
            rows = []
            for t in range(len(tokens)):
                visible = range(max(0, t - weights.window + 1), t + 1)
                scores = [
                    q[t] @ k[s] / weights.d_head**0.5 + w["rho"][layer, head, t - s]
                    for s in visible
                ]
                pattern = torch.softmax(torch.stack([*scores, w["sink"][layer, head]]), 0)
                rows.append(pattern[:-1] @ v[visible.start : visible.stop])
            out = out + torch.stack(rows) @ w["W_O"][layer, head]
        x = x + out
    return (x @ w["W_U"] + w["b_U"]).numpy()


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_logits_are_those_of_the_formula_with_window_and_sink(
    make_random: Make, n_layers: int
) -> None:
    weights = make_random(n_layers, window=5).weights.astype(np.float64)
    tokens = np.random.default_rng(1).integers(0, 12, size=14)

    activations = run(weights, tokens)

    np.testing.assert_allclose(activations.logits, torch_logits(weights, tokens), atol=1e-12)


def test_pattern_and_rest_sum_to_one_and_see_only_the_window(make_random: Make) -> None:
    weights = make_random(2, window=5).weights.astype(np.float64)

    for layer in run(weights, np.arange(12)).layers:
        np.testing.assert_allclose(layer.pattern.sum(axis=2) + layer.rest, 1.0, atol=1e-14)
        assert not layer.pattern[:, 3, 4:].any()
        assert not layer.pattern[:, 9, :5].any()
        assert layer.pattern[:, 9, 5:10].all()


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("n_tokens", [1, 4, 9, 20])
def test_a_run_of_the_last_prediction_alone_is_the_end_of_a_full_run(
    make_random: Make, n_layers: int, n_tokens: int
) -> None:
    weights = make_random(n_layers, window=5).weights.astype(np.float64)
    tokens = np.random.default_rng(3).integers(4, 12, size=n_tokens)

    whole, last = run(weights, tokens), run(weights, tokens, last_only=True)

    np.testing.assert_allclose(last.logits[-1], whole.logits[-1], atol=1e-12)
    for ours, theirs in zip(last.layers, whole.layers, strict=True):
        _, asked, seen = ours.pattern.shape
        np.testing.assert_allclose(ours.z, theirs.z[:, -asked:], atol=1e-12)
        np.testing.assert_allclose(ours.pattern, theirs.pattern[:, -asked:, -seen:], atol=1e-12)
        assert not theirs.pattern[:, -asked:, :-seen].any()


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("window", [1, 5, 32])
def test_what_a_prediction_within_a_full_run_rests_on_is_a_run_of_it_alone(
    make_random: Make, n_layers: int, window: int
) -> None:
    weights = make_random(n_layers, window=window).weights.astype(np.float64)
    tokens = np.random.default_rng(3).integers(4, 12, size=25)
    field = n_layers * (window - 1) + 1
    full = run(weights, tokens)

    for end in range(1, 26):
        ours = ending(weights, full, end)
        alone = run(weights, tokens[max(0, end - field) : end], last_only=True)
        assert ours.tokens.tolist() == alone.tokens.tolist()
        np.testing.assert_allclose(ours.logits, alone.logits, atol=1e-12)
        for part, theirs in zip(
            (*ours.resid_pre, ours.resid_post), (*alone.resid_pre, alone.resid_post), strict=True
        ):
            np.testing.assert_allclose(part, theirs, atol=1e-12)
        for layer, its in zip(ours.layers, alone.layers, strict=True):
            for name in ("q", "k", "v", "pattern", "rest", "lse", "z", "attn_out"):
                np.testing.assert_allclose(getattr(layer, name), getattr(its, name), atol=1e-12)


def test_a_prediction_depends_on_nothing_before_its_receptive_field(make_random: Make) -> None:
    weights = make_random(2, window=4).weights.astype(np.float64)
    tokens = np.random.default_rng(2).integers(4, 12, size=20)

    whole = run(weights, tokens).logits[-1]
    cut = run(weights, tokens[-(2 * 3 + 1) :]).logits[-1]

    np.testing.assert_allclose(cut, whole, atol=1e-12)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("n_tokens", [1, 9, 80])
def test_predictions_alone_are_those_of_a_full_run(
    make_random: Make, n_layers: int, n_tokens: int
) -> None:
    weights = make_random(n_layers, window=5).weights.astype(np.float64)
    tokens = np.random.default_rng(3).integers(4, 12, size=n_tokens)

    logits = run(weights, tokens).logits

    last = run(weights, tokens, last_only=True)
    np.testing.assert_allclose(predict_all(weights, last), logits, atol=1e-12)
    for first in (0, n_tokens // 2, n_tokens - 1):
        np.testing.assert_allclose(predict(weights, tokens, first), logits[first:], atol=1e-12)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("window", [1, 5, 32])
def test_a_run_with_another_event_is_that_of_the_other_stream(
    make_random: Make, n_layers: int, window: int
) -> None:
    weights = make_random(n_layers, window=window).weights.astype(np.float64)
    field = n_layers * (window - 1) + 1
    tokens = np.random.default_rng(3).integers(4, 12, size=min(20, field))
    before = run(weights, tokens, last_only=True)

    for position in range(len(tokens)):
        other = tokens.copy()
        other[position] = 10
        again, whole = rerun(weights, before, position, 10), run(weights, other, last_only=True)
        np.testing.assert_allclose(again.logits, whole.logits, atol=1e-12)
        for ours, theirs in zip(again.layers, whole.layers, strict=True):
            for name in ("q", "k", "v", "pattern", "rest", "lse", "z", "attn_out"):
                np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-12)
