"""Groups are found where there are some."""

import numpy as np
import pytest

from offscript.interpret.factor import explained, one_sided_nmf


def test_planted_groups_of_outcomes_are_found_whatever_the_sign_of_their_contexts() -> None:
    rng = np.random.default_rng(0)
    planted = np.zeros((3, 12))
    for group in range(3):
        planted[group, 4 * group : 4 * group + 4] = rng.uniform(0.5, 1.5, 4)
    table = rng.normal(size=(40, 3)) * [5.0, 3.0, 2.0] @ planted

    contexts, groups = one_sided_nmf(table, 3)

    assert explained(table, contexts, groups) > 0.99
    assert (groups >= 0.0).all()
    np.testing.assert_allclose(np.linalg.norm(groups, axis=1), 1.0)
    wanted = planted / np.linalg.norm(planted, axis=1, keepdims=True)
    np.testing.assert_allclose(groups @ wanted.T, np.eye(3), atol=0.05)


def test_an_empty_table_is_factored_too() -> None:
    contexts, groups = one_sided_nmf(np.zeros((4, 5)), 2)

    assert explained(np.zeros((4, 5)), contexts, groups) == 0.0
    assert np.isfinite(contexts).all()
    assert contexts @ groups == pytest.approx(np.zeros((4, 5)), abs=1e-6)
