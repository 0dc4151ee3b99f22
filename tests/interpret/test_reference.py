"""Means and counts of the usual."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.reference import (
    fit_reference,
    path_outputs,
    read_reference,
)
from offscript.model.config import DecoderConfig
from offscript.model.weights import random_weights

Make = Callable[..., SimpleNamespace]


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_means_are_of_the_outputs_after_each_event_drawn_to_the_overall_mean(n_layers: int) -> None:
    config = DecoderConfig(8, n_layers, d_model=6, n_heads=2, d_head=3, window=16)
    weights = random_weights(config, seed=0).astype(np.float64)
    sequence = np.array([0, 4, 5, 4, 6, 2])

    fitted = fit_reference(weights, [sequence], windows=1)

    outputs = path_outputs(weights, run(weights, sequence[:-1]))
    mean = outputs.mean(axis=0)
    after_4 = (outputs[[1, 3]].sum(axis=0) + 5 * mean) / 7
    np.testing.assert_allclose(fitted["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(fitted["means"][4], after_4, atol=1e-6)
    np.testing.assert_allclose(fitted["means"][7], mean, atol=1e-6)  # never seen


def test_windows_that_start_inside_a_sequence_use_only_positions_with_full_context() -> None:
    config = DecoderConfig(8, 1, d_model=6, n_heads=2, d_head=3, window=4)
    weights = random_weights(config, seed=0).astype(np.float64)
    sequence = np.concatenate([[0], np.random.default_rng(0).integers(4, 8, size=500)])
    everything = path_outputs(weights, run(weights, sequence)).mean(axis=0)

    fitted = fit_reference(weights, [sequence])

    np.testing.assert_allclose(fitted["mean"], everything, atol=0.03)


def test_counts_are_over_all_sequences(make_random: Make) -> None:
    weights = make_random().weights
    sequences = [np.array([0, 4, 5, 4, 5, 2]), np.array([1, 5, 4]), np.array([0])]

    reference = read_reference(fit_reference(weights, sequences), weights)

    assert reference.support(4, 5) == 2
    assert reference.support(5, 4) == 2
    assert reference.support(5, 2) == 1
    assert reference.support(4, 4) == 0
    assert reference.last_count(5) == 3
    assert reference.outcomes.tolist()[:6] == [0, 0, 1, 0, 3, 3]
    assert reference.last[4] == pytest.approx(2 / 7)
    assert reference.base_rates().sum() == pytest.approx(1.0)


def test_no_sequences_give_a_reference_that_still_adds_up(make_random: Make) -> None:
    model = make_random()

    reference = read_reference(fit_reference(model.weights, []), model.weights)

    assert reference.support(4, 5) == 0
    assert np.isfinite(np.log(reference.base_rates())).all()


def test_a_sequence_that_came_many_times_counts_as_often(make_random: Make) -> None:
    weights = make_random().weights
    sequences = [np.array([0, 4, 5, 4, 5, 2]), np.array([1, 5, 4])]

    times = read_reference(fit_reference(weights, sequences, np.array([1, 3])), weights)
    again = read_reference(fit_reference(weights, [*sequences, *sequences[1:] * 2]), weights)

    assert times.support(5, 4) == 4
    for name in ("last", "outcomes", "pairs", "pair_counts"):
        np.testing.assert_array_equal(getattr(times, name), getattr(again, name))
