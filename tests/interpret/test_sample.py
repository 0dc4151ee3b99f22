"""Held-out windows are kept whole, and the attention in them is counted right."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.sample import POSITIONS, draw_windows, observe, read_windows
from offscript.model.errors import ModelError
from offscript.model.vocabulary import END, PAST, START

Make = Callable[..., SimpleNamespace]


def test_every_prediction_is_in_one_window_and_what_begins_in_the_middle_begins_with_past(
    make_random: Make,
) -> None:
    weights = make_random(2, window=40).weights  # a prediction depends on 79 tokens
    long = np.concatenate([[START], np.arange(300) % 8 + 4, [END]])
    short = np.array([PAST, 5, 6])

    windows = read_windows(draw_windows(weights, [long, short, np.array([START])]))

    assert sorted(map(len, windows)) == [3, 65, 80, 80, 80]
    assert sum(len(window) - 1 for window in windows) == len(long) - 1 + len(short) - 1
    followed = np.concatenate([window[1:] for window in windows])
    np.testing.assert_array_equal(np.sort(followed), np.sort([*long[1:], 5, 6]))
    assert [int(window[0]) for window in windows].count(START) == 1
    assert {int(window[0]) for window in windows} == {START, PAST}


def test_a_sample_is_bounded_and_drawn_the_same_way_again(make_random: Make) -> None:
    weights = make_random(1).weights
    sequences = [np.array([START, *([5] * 30)])] * 1000

    arrays = draw_windows(weights, sequences)

    assert sum(len(window) - 1 for window in read_windows(arrays)) == POSITIONS
    np.testing.assert_array_equal(arrays["windows"], draw_windows(weights, sequences)["windows"])


def test_a_model_without_windows_is_refused_in_one_clear_line() -> None:
    with pytest.raises(ModelError, match="earlier version; train again"):
        read_windows({})


@pytest.mark.parametrize("n_layers", [1, 2])
def test_mean_attention_is_that_of_the_positions_where_the_event_is_there(
    make_random: Make, n_layers: int
) -> None:
    weights = make_random(n_layers, window=6).weights.astype(np.float64)
    rng = np.random.default_rng(3)
    windows = [np.array([START, *rng.integers(4, 8, size=12)]) for _ in range(3)]

    sample = observe(weights, windows)

    attention = sample.attention
    assert attention.mean.shape[0] == (3, 15)[n_layers - 1]
    np.testing.assert_array_equal(sample.starts, [0, 12, 24])
    for pair, (q, k) in enumerate(zip(attention.looking, attention.seen, strict=True)):
        given = []
        for window in windows:
            tokens = window[:-1]
            layers = run(weights, tokens).layers
            for t in np.flatnonzero(tokens == q).tolist():
                sources = [s for s in range(max(0, t - 5), t) if tokens[s] == k]
                if sources:
                    given.append(layers[0].pattern[1, t, sources].sum())
        assert attention.times[pair] == len(given)
        assert attention.mean[1, pair] == pytest.approx(np.mean(given))
