"""What a model keeps of its decoder's scores finds a scorer that says something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offscript.interpret.golden import check_golden, golden_scores
from offscript.interpret.sample import read_windows
from offscript.model.decoder import decoder_from
from offscript.model.errors import ModelError
from offscript.model.folder import Model, load_model
from offscript.model.weights import Weights


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def test_training_keeps_what_its_decoder_says_of_held_out_events(model: Model) -> None:
    decoder = decoder_from(model.weights, model.config.decoder).double()
    golden = model.reference["surprisals"].astype(np.float64)
    expected = np.zeros(0)
    for window in read_windows(model.reference):
        with torch.no_grad():
            log_p = decoder(torch.from_numpy(window[:-1])[None]).log_softmax(-1)[0].numpy()
        expected = np.append(expected, -log_p[np.arange(len(window) - 1), window[1:]])

    assert 900 < len(golden) <= 1000 < len(expected)
    np.testing.assert_allclose(golden, expected[: len(golden)], rtol=1e-6, atol=1e-6)
    check_golden(model)


def swapped(weights: Weights) -> Weights:
    """Two events have each other's row, as in a table that was written wrongly."""
    W_E = weights.W_E.copy()
    W_E[[5, 6]] = W_E[[6, 5]]
    return replace(weights, W_E=W_E)


@pytest.mark.parametrize(
    "wrong",
    [
        swapped,
        lambda weights: replace(weights, rho=np.roll(weights.rho, 1, axis=2)),
        lambda weights: replace(weights, W_O=weights.W_O * np.float32(1.02)),
        lambda weights: replace(weights, b_U=weights.b_U * np.float32("nan")),
    ],
    ids=["rows swapped", "distances off by one", "a layer 2 % too loud", "not a number"],
)
def test_a_scorer_that_says_something_else_is_found(
    model: Model, wrong: Callable[[Weights], Weights]
) -> None:
    with pytest.raises(ModelError, match=r"golden event \d+ scores .* nats here and .* by the dec"):
        check_golden(replace(model, weights=wrong(model.weights)))


def test_golden_events_are_looked_at_up_to_the_last(model: Model) -> None:
    golden = model.reference["surprisals"].copy()
    golden[-1] += np.float32(0.02)

    with pytest.raises(ModelError, match=f"golden event {len(golden) - 1} scores"):
        check_golden(replace(model, reference={**model.reference, "surprisals": golden}))


def test_a_model_of_an_earlier_version_has_none_to_compare(model: Model) -> None:
    earlier = {name: array for name, array in model.reference.items() if name != "surprisals"}

    check_golden(replace(model, weights=swapped(model.weights), reference=earlier))


def test_of_no_windows_there_are_no_scores(model: Model) -> None:
    nothing = {"windows": np.zeros(0, np.int32), "window_lengths": np.zeros(0, np.int32)}
    none = golden_scores(model.weights, read_windows(nothing))

    assert none.shape == (0,)
    check_golden(replace(model, reference={**nothing, "surprisals": none}))
