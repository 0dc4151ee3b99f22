"""What a table holds is told by the right names."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.interpret.card import Pair, Weight
from offscript.interpret.circuits import Circuit
from offscript.interpret.naming import directions, largest_cells, loadings

NAMES = ("a", "b", "c", "d")
EVEN = np.full(4, 0.25)


def circuit(table: np.ndarray) -> Circuit:
    return Circuit("made by hand", table.astype(float), np.eye(4))


def test_the_largest_cells_are_those_of_frequent_events_with_their_own_values() -> None:
    table = np.zeros((4, 4))
    table[0, 1], table[2, 3], table[3, 3] = -3.0, 2.0, 9.0
    often = np.array([0.5, 0.25, 0.25, 0.0])  # d is never read

    found = largest_cells(NAMES, circuit(table), often, EVEN)

    assert found == (Pair("a", "b", -3.0), Pair("c", "d", 2.0))


def test_a_direction_is_named_on_both_sides() -> None:
    table = np.outer([0.0, 3.0, 0.0, -4.0], [0.0, 0.0, 1.0, 0.0])

    (found,) = directions(NAMES, circuit(table), EVEN, EVEN)

    assert found.value == pytest.approx(5.0 * 0.25)
    assert found.share == pytest.approx(1.0)
    assert [weight.event for weight in found.reads] == ["d", "b"]
    assert [weight.event for weight in found.writes] == ["c"]
    signs = found.reads[0].value * found.writes[0].value
    assert signs == pytest.approx(-0.8)


def test_loadings_are_the_largest_of_either_sign() -> None:
    found = loadings(NAMES, np.array([0.1, -0.9, 0.0, 0.4]), 2)

    assert found == (Weight("b", -0.9), Weight("d", 0.4))
