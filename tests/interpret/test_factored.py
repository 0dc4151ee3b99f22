"""A factored matrix is the matrix that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.interpret.factored import FactoredMatrix


@pytest.fixture
def pair() -> tuple[FactoredMatrix, FactoredMatrix]:
    rng = np.random.default_rng(0)
    one = FactoredMatrix(rng.normal(size=(7, 3)), rng.normal(size=(3, 5)))
    return one, FactoredMatrix(rng.normal(size=(5, 2)), rng.normal(size=(2, 7)))


def test_products_are_those_of_the_whole_matrices_and_keep_the_smallest_rank(
    pair: tuple[FactoredMatrix, FactoredMatrix],
) -> None:
    one, two = pair
    W = np.random.default_rng(1).normal(size=(5, 4))

    for product, expected, rank in (
        (one @ two, one.AB @ two.AB, 2),
        (two @ one, two.AB @ one.AB, 2),
        (one @ W, one.AB @ W, 3),
        (W.T @ two, W.T @ two.AB, 2),
        (one.T, one.AB.T, 3),
    ):
        assert isinstance(product, FactoredMatrix)
        assert product.A.shape[1] == rank
        assert product.shape == expected.shape
        np.testing.assert_allclose(product.AB, expected)


def test_norm_singular_vectors_and_eigenvalues_need_no_whole_matrix(
    pair: tuple[FactoredMatrix, FactoredMatrix],
) -> None:
    one, two = pair
    square = one @ two

    U, S, Vh = one.svd()

    assert one.norm() == pytest.approx(float(np.linalg.norm(one.AB)))
    np.testing.assert_allclose((U * S) @ Vh, one.AB)
    np.testing.assert_allclose(U.T @ U, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(S, np.linalg.svd(one.AB, compute_uv=False)[:3])
    whole = np.linalg.eigvals(square.AB)
    largest = whole[np.argsort(-np.abs(whole))][:2]
    np.testing.assert_allclose(np.sort_complex(square.eigenvalues()), np.sort_complex(largest))
