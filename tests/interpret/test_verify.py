"""Evidence is checked against typical events, and paths that cancel are told from others."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from offscript.interpret.reference import read_reference
from offscript.interpret.verify import cancels, replacements

Make = Callable[..., SimpleNamespace]


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


def test_draws_that_would_all_be_the_same_event_are_one(make_random: Make) -> None:
    model = make_random()
    reference = read_reference(model.reference, model.weights)
    weight = np.full(12, 1e-4)
    weight[6] = 1.0
    often = replace(reference, last=weight / weight.sum())

    assert replacements(5, often).tolist() == [6]
    assert len(replacements(6, often)) == 16


def test_cancelling_means_undone_by_more_than_four_fifths() -> None:
    assert cancels(5.0, -4.9)
    assert not cancels(5.0, -2.0)
    assert not cancels(5.0, 4.9)
