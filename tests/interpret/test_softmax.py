"""The softmax is what its formula says, to the last digits."""

import math

import numpy as np
import pytest

from offscript.interpret.softmax import log_sum_exp, take_softmax

rng = np.random.default_rng(0)


def test_an_exponential_is_right_to_its_last_digits() -> None:
    below = -np.linspace(0.0, 708.0, 1_000_003)  # of a length that fits no vector
    odds = np.stack([np.zeros_like(below), below], axis=1)

    take_softmax(odds)

    right = np.exp(below.astype(np.longdouble))
    assert float(np.max(np.abs(odds[:, 1] / (right / (1 + right)) - 1))) < 6e-16


@pytest.mark.parametrize("shape", [(5,), (1, 1), (3, 17), (2, 4, 33)])
def test_shares_and_the_sink_share_what_there_is(shape: tuple[int, ...]) -> None:
    scores = rng.normal(0.0, 30.0, shape)
    sink = rng.normal(0.0, 30.0, shape[:-1])
    shares = scores.copy()

    lse = take_softmax(shares, sink)

    whole = np.logaddexp(np.logaddexp.reduce(scores, axis=-1), sink)
    np.testing.assert_allclose(lse, whole, rtol=1e-15, atol=1e-14)
    np.testing.assert_allclose(shares, np.exp(scores - whole[..., None]), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(shares.sum(axis=-1) + np.exp(sink - lse), 1.0, atol=1e-13)


def test_what_cannot_be_seen_has_no_share_and_what_is_no_number_stays_none() -> None:
    shares = np.array([[0.0, -math.inf, -1e3, 0.0], [0.0, math.nan, 1.0, 2.0]])

    lse = take_softmax(shares)

    assert shares[0].tolist() == [0.5, 0.0, 0.0, 0.5]
    assert lse[0] == math.log(2.0)
    assert np.isnan(lse[1])


def test_the_log_of_a_sum_is_that_of_the_softmax_and_leaves_the_numbers_alone() -> None:
    logits = rng.normal(0.0, 20.0, (6, 50)).T  # not contiguous
    was = logits.copy()

    np.testing.assert_allclose(log_sum_exp(logits), np.logaddexp.reduce(was, axis=1), rtol=1e-15)
    np.testing.assert_array_equal(logits, was)
