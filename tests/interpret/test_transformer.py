"""A trained decoder answers to the names of its events and heads."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.circuits import direct_path
from offscript.interpret.reference import read_reference
from offscript.interpret.transformer import Transformer
from offscript.model.errors import InputError, ModelError, NotFoundError
from offscript.model.vocabulary import START


@pytest.fixture
def transformer(make_random: Callable[..., SimpleNamespace]) -> Transformer:
    model = make_random()
    weights = model.weights.astype(np.float64)
    reference = read_reference(model.reference, weights)
    return Transformer(weights, model.vocabulary.names, reference, [])


def test_an_event_goes_by_its_name_or_by_a_part_that_no_other_has(
    transformer: Transformer,
) -> None:
    assert transformer.tokens(["<start>", "event 3", "nt 7"]).tolist() == [START, 7, 11]


def test_a_name_that_is_not_one_event_is_answered_with_those_that_could_be_meant(
    transformer: Transformer,
) -> None:
    with pytest.raises(NotFoundError, match=r"8 events have 'event' in their names.*'event 0'"):
        transformer.token("event")
    with pytest.raises(NotFoundError, match=r"no event is called 'evnet 3'; the closest .*event"):
        transformer.token("evnet 3")
    with pytest.raises(NotFoundError, match="`names` has all"):
        transformer.token("#")
    with pytest.raises(NotFoundError, match="has no 'L3H0'; it has L0H0, L0H1"):
        transformer.OV("L3H0")
    with pytest.raises(NotFoundError, match="has no 'L0H0→L1H9'"):
        transformer.full_OV("L0H0→L1H9")
    with pytest.raises(InputError, match="no events to run on"):
        transformer.run([])


def test_a_place_without_a_model_is_refused() -> None:
    with pytest.raises(ModelError, match="no model folder at nowhere"):
        Transformer.load("nowhere")


def test_the_paths_of_the_last_prediction_add_up_to_its_logits(transformer: Transformer) -> None:
    activations = transformer.run(["<start>", "event 1", "event 5", "event 1"])

    paths = transformer.decompose(activations)

    np.testing.assert_allclose(paths.total(), activations.logits[-1], atol=1e-10)
    assert paths.evidence.shape == (12, len(paths.names), 4)


def test_full_circuits_are_the_products_of_the_weights_but_for_biases(
    transformer: Transformer,
) -> None:
    weights = transformer.weights
    rows, columns = ["event 1", "event 2"], ["event 0", "event 4", "event 7"]

    full = weights.W_E @ transformer.OV("L0H2") @ weights.W_U
    biases = weights.b_V[0, 2] @ weights.W_O[0, 2] @ weights.W_U
    cells = transformer.among(transformer.full_OV("L0H2"), rows, columns)

    np.testing.assert_allclose(cells, (full.AB + biases)[np.ix_([5, 6], [4, 8, 11])], atol=1e-12)
    W_Q, W_K = weights.W_Q[1, 0], weights.W_K[1, 0]
    np.testing.assert_allclose(transformer.QK("L1H0").AB, W_Q @ W_K.T / 2.0, atol=1e-12)
    assert transformer.full_QK("L1H0").table().shape == (12, 12)


def test_the_largest_cells_are_told_by_name(transformer: Transformer) -> None:
    direct = direct_path(transformer.weights)

    pair = transformer.largest(direct)[0]

    assert pair.value == transformer.among(direct, [pair.row], [pair.column])[0, 0]
