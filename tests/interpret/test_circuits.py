"""Tables over the vocabulary say what the decoder computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import attention_scores, run
from offscript.interpret.circuits import (
    Circuit,
    asking_circuits,
    compositions,
    direct_path,
    matching_circuits,
    ov_circuits,
    positivity,
    qk_circuits,
    singular,
)
from offscript.interpret.paths import path_patterns
from offscript.model.config import DecoderConfig
from offscript.model.weights import Weights, shapes

Make = Callable[..., SimpleNamespace]

TOKENS = np.array([0, 5, 7, 5, 9, 4, 4, 11, 6])


def circuit(table: np.ndarray) -> Circuit:
    return Circuit("made by hand", table.astype(float), np.eye(table.shape[1]))


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_the_tables_mixed_by_the_patterns_are_the_logits(make_random: Make, n_layers: int) -> None:
    weights = make_random(n_layers).weights.astype(np.float64)
    activations = run(weights, TOKENS)
    patterns, _ = path_patterns(weights, activations)

    logits = weights.b_U + weights.b_O.sum(axis=0) @ weights.W_U
    logits = logits + direct_path(weights).table()[TOKENS[-1]]
    for pattern, ov in zip(patterns, ov_circuits(weights), strict=True):
        logits = logits + pattern @ ov.table()[TOKENS]

    np.testing.assert_allclose(logits, activations.logits[-1], atol=1e-12)


def test_a_qk_table_is_the_score_of_layer_0_without_its_distance(make_random: Make) -> None:
    weights = make_random(1).weights.astype(np.float64)
    layer = run(weights, TOKENS).layers[0]
    scores = attention_scores(weights, 0, layer.q, layer.k)

    for head, qk in enumerate(qk_circuits(weights)):
        content = scores[head, 8, 6] - weights.rho[0, head, 2]
        assert qk.table()[TOKENS[8], TOKENS[6]] == pytest.approx(content)


def test_an_induction_circuit_matches_and_copies(induction: Weights) -> None:
    matching = {each.name: each for each in matching_circuits(induction)}
    ov = {each.name: each for each in ov_circuits(induction)}

    assert positivity(matching["L0H0→L1H0"]) == pytest.approx(1.0)
    np.testing.assert_allclose(matching["L0H0→L1H0"].table(), 60.0 * np.eye(12))
    assert positivity(ov["L1H0"]) == pytest.approx(1.0)
    np.testing.assert_allclose(ov["L1H0"].table(), 12.0 * np.eye(12))
    assert positivity(ov["L1H1"]) == 0.0


@pytest.mark.parametrize(
    ("table", "score"),
    [(np.eye(4), 1.0), (-np.eye(4), -1.0), (np.roll(np.eye(4), 1, axis=0), 0.0)],
)
def test_positivity_tells_copying_from_its_opposite_and_from_a_shift(
    table: np.ndarray, score: float
) -> None:
    assert positivity(circuit(table)) == pytest.approx(score, abs=1e-12)


def test_a_centred_table_has_no_mean_row_and_no_row_mean() -> None:
    rng = np.random.default_rng(0)
    last = rng.dirichlet(np.ones(6))
    table = Circuit("t", rng.normal(size=(6, 2)), rng.normal(size=(2, 6)))

    centred = table.centred(last).table()

    np.testing.assert_allclose(centred.mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(last @ centred, 0.0, atol=1e-12)
    expected = table.table() - table.table().mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred, expected - last @ expected)


def test_a_table_comes_back_from_its_singular_directions() -> None:
    rng = np.random.default_rng(1)
    table = Circuit("t", rng.normal(size=(7, 3)), rng.normal(size=(3, 7)))

    found = singular(table, 3)

    np.testing.assert_allclose((found.left * found.values) @ found.right, table.table())
    assert found.share.sum() == pytest.approx(1.0)
    one = singular(circuit(np.diag([0.0, -3.0, 0.0, 1.0])), 1)
    assert one.values[0] == pytest.approx(3.0)
    assert one.share[0] == pytest.approx(0.9)
    assert np.abs(one.left[1, 0]) == np.abs(one.right[0, 1]) == pytest.approx(1.0)


def test_a_head_that_reads_just_what_another_writes_composes_with_it() -> None:
    config = DecoderConfig(6, 2, d_model=16, n_heads=2, d_head=4, window=4)
    arrays = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    for name in ("W_Q", "W_K", "W_V"):  # head 0 reads and writes the first four axes, head 1 none
        arrays[name][:, 0, :4] = np.eye(4)
    arrays["W_O"][:, 0, :, :4] = np.eye(4)

    found = compositions(Weights(**arrays))

    aligned = {each.side: each for each in found if (each.first, each.second) == ("L0H0", "L1H0")}
    assert set(aligned) == {"Q", "K", "V"}
    for each in aligned.values():  # a projector P of rank 4: ‖PP‖ / ‖P‖² = 1 / √4
        assert each.score + each.baseline == pytest.approx(0.5)
    assert {each.score + each.baseline for each in found} == {
        0.0,
        aligned["Q"].score + aligned["Q"].baseline,
    }
    assert (
        compositions(Weights(**{n: a[:1] if a.shape[:1] == (2,) else a for n, a in arrays.items()}))
        == []
    )


@pytest.mark.parametrize("side", ["Q", "K"])
def test_composed_tables_mixed_by_the_first_pattern_are_what_it_adds_to_the_scores(
    make_random: Make, side: str
) -> None:
    weights = make_random(2).weights.astype(np.float64)
    weights = replace(weights, b_V=np.zeros_like(weights.b_V))
    first, second = run(weights, TOKENS).layers
    circuits = asking_circuits(weights) if side == "Q" else matching_circuits(weights)
    own = weights.W_E[TOKENS] + weights.b_O[0]

    for number, circuit in enumerate(circuits):
        one, two = divmod(number, weights.n_heads)
        brought = first.z[one] @ weights.W_O[0, one]
        q, k = (brought, own) if side == "Q" else (own, brought)
        added = (q @ weights.W_Q[1, two]) @ (k @ weights.W_K[1, two]).T / np.sqrt(weights.d_head)
        cells = circuit.left[TOKENS] @ circuit.right[:, TOKENS]
        mixed = first.pattern[one] @ cells if side == "Q" else cells @ first.pattern[one].T
        np.testing.assert_allclose(mixed, added, atol=1e-12)
    assert len(circuits) == len(first.z) * len(second.z)
