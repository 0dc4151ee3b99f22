"""A patched run is the run that one would have had, and does what the mechanism says."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import Activations, logit_lens, run
from offscript.interpret.directions import softmax
from offscript.interpret.patching import parts, patch, readers, results
from offscript.model.errors import InputError
from offscript.model.vocabulary import PAST
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

CLEAN = np.array([PAST, 5, 6, 7, 8, 5])  # 5 was followed by 6, and comes again
CORRUPT = np.array([PAST, 5, 9, 7, 8, 5])  # … by 9


@pytest.fixture
def weights(make_random: Make) -> Weights:
    return Weights(**{k: a.astype(np.float64) for k, a in make_random().weights.arrays().items()})


def same(one: Activations, two: Activations) -> None:
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-10)
    for first, second in zip(one.layers, two.layers, strict=True):
        np.testing.assert_allclose(first.pattern, second.pattern, atol=1e-10)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_what_the_parts_write_adds_up_to_what_the_logits_read(
    make_random: Make, n_layers: int
) -> None:
    weights = make_random(n_layers).weights.astype(np.float64)
    activations = run(weights, CLEAN)

    written = results(weights, activations)

    assert tuple(written) == parts(weights)
    total = sum(written.values()) + weights.b_O.sum(axis=0)
    np.testing.assert_allclose(total, activations.resid_post, atol=1e-12)
    lens = logit_lens(weights, activations)
    assert lens.shape == (n_layers + 1, *activations.logits.shape)
    np.testing.assert_allclose(lens[-1], activations.logits)


def test_a_patch_with_nothing_or_with_its_own_results_changes_nothing(weights: Weights) -> None:
    activations = run(weights, CLEAN)

    same(patch(weights, activations, {}), activations)
    same(patch(weights, activations, results(weights, activations)), activations)
    own = {"L0H1": results(weights, activations)["L0H1"]}
    same(patch(weights, activations, own, into=["L1H0.K"]), activations)


def test_with_all_embeddings_of_another_run_it_is_that_run(weights: Weights) -> None:
    other = run(weights, CORRUPT)

    patched = patch(weights, run(weights, CLEAN), {"embed": results(weights, other)["embed"]})

    same(patched, other)
    np.testing.assert_allclose(patched.resid_pre[1], other.resid_pre[1], atol=1e-10)


def test_into_every_reader_is_the_same_as_into_all(weights: Weights) -> None:
    activations, nothing = run(weights, CLEAN), {"L0H2": np.zeros((len(CLEAN), weights.d_model))}

    everywhere = patch(weights, activations, nothing)

    same(patch(weights, activations, nothing, into=readers(weights)), everywhere)


def test_into_the_logits_alone_it_takes_the_direct_effect(weights: Weights) -> None:
    activations = run(weights, CLEAN)
    nothing = np.zeros((len(CLEAN), weights.d_model))

    patched = patch(weights, activations, {"L0H2": nothing}, into=["logits"])

    direct = results(weights, activations)["L0H2"] @ weights.W_U
    np.testing.assert_allclose(activations.logits - patched.logits, direct, atol=1e-12)


def test_an_induction_circuit_is_found_by_patching_its_paths(induction: Weights) -> None:
    clean, corrupt = run(induction, CLEAN), run(induction, CORRUPT)
    nothing = {"L0H0": np.zeros((len(CLEAN), induction.d_model))}

    def expected(activations: Activations) -> float:
        return float(softmax(activations.logits[-1])[6])

    other = {"L1H0": results(induction, corrupt)["L1H0"]}
    assert expected(clean) > 0.95
    assert expected(patch(induction, clean, other)) < 0.01
    # The head finds its place by what the first head wrote, through its keys and nothing else.
    assert expected(patch(induction, clean, nothing, into=["L1H0.K"])) < 0.2
    for reader in ("L1H0.Q", "L1H0.V", "L1H1.K", "logits"):
        assert expected(patch(induction, clean, nothing, into=[reader])) > 0.95


def test_parts_and_readers_that_are_not_there_are_named(weights: Weights) -> None:
    activations = run(weights, CLEAN)
    result = np.zeros((len(CLEAN), weights.d_model))

    with pytest.raises(InputError, match=r"no part 'L2H0'; expected one of embed, L0H0"):
        patch(weights, activations, {"L2H0": result})
    with pytest.raises(InputError, match=r"no reader 'L1H0'; expected one of L0H0\.Q"):
        patch(weights, activations, {"L0H0": result}, into=["L1H0"])
    with pytest.raises(InputError, match=r"L0H0 is \(5, 10\), this run needs \(6, 10\)"):
        patch(weights, activations, {"L0H0": result[1:]})
