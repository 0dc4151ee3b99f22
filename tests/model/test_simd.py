"""Lanes compute what NumPy computes."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from offscript.model import simd

rng = np.random.default_rng(0)


@njit
def _combine(a, b, c, out):  # type: ignore[no-untyped-def]
    x, y, z = simd.load8(a, 0), simd.load8(b, 0), simd.load8(c, 0)
    simd.store(out, 0, simd.add(x, y))
    simd.store(out, 8, simd.subtract(x, y))
    simd.store(out, 16, simd.multiply(x, y))
    simd.store(out, 24, simd.larger(x, y))
    simd.store(out, 32, simd.multiply_add(x, y, z))
    simd.prefetch(a, 0, 64)


@njit
def _reduce(a):  # type: ignore[no-untyped-def]
    four, eight = simd.load4(a, 0), simd.load8(a, 0)
    return simd.total(four), simd.total(eight), simd.largest(four), simd.largest(eight)


@njit
def _exp(x, out):  # type: ignore[no-untyped-def]
    for i in range(0, len(x), 8):
        simd.store(out, i, simd.exp(simd.load8(x, i)))


@njit
def _copy(a, out):  # type: ignore[no-untyped-def]
    simd.store(out, 0, simd.load8(a, 0))


@njit
def _fill(number, a, out):  # type: ignore[no-untyped-def]
    simd.store(out, 0, simd.spread(number))
    simd.store(out, 8, simd.repeat(a, 2))


def test_sums_and_products_go_lane_by_lane() -> None:
    a, b, c = rng.standard_normal((3, 8)).astype(np.float32)
    out = np.zeros(40, np.float32)

    _combine(a, b, c, out)

    expected = np.concatenate([a + b, a - b, a * b, np.maximum(a, b), a * b + c])
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-7)


def test_lanes_are_reduced_to_a_sum_or_the_largest() -> None:
    a = rng.standard_normal(8).astype(np.float32) - 3.0

    assert _reduce(a) == pytest.approx((a[:4].sum(), a.sum(), a[:4].max(), a.max()), rel=1e-6)


def test_the_exponential_is_right_to_the_last_digits() -> None:
    x = np.linspace(-87.0, 0.0, 100_000).astype(np.float32)
    out = np.zeros_like(x)

    _exp(x, out)

    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=3e-7)


def test_the_exponential_of_what_is_far_below_is_nothing() -> None:
    out = np.zeros(8, np.float32)

    _exp(np.array([-88, -1e3, -1e30, -np.inf, 0, -1, -2, -3], np.float32), out)

    np.testing.assert_array_equal(out[:4], 0.0)
    assert out[4] == 1.0


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_numbers_are_rounded_to_the_nearest_where_they_are_kept_in_16_bits(
    kind: type[np.float32 | np.int16],
) -> None:
    a = np.array([-2.6, -1.4, -0.2, 0.0, 0.7, 1.2, 32766.6, -32767.0], np.float32)
    out = np.zeros(8, kind)

    _copy(a, out)

    expected = np.rint(a) if kind is np.int16 else a
    np.testing.assert_array_equal(out, expected)


def test_16_bits_are_read_as_numbers() -> None:
    a = rng.integers(-32768, 32768, 8).astype(np.int16)
    out = np.zeros(8, np.float32)

    _copy(a, out)

    np.testing.assert_array_equal(out, a)


def test_one_number_fills_all_lanes() -> None:
    out = np.zeros(16, np.float32)

    _fill(np.float32(2.5), np.array([0.0, 1.0, 2.0], np.float32), out)

    np.testing.assert_array_equal(out, [2.5] * 8 + [2.0] * 8)
