"""Directions sum to zero and give their totals."""

import numpy as np
import pytest

from offscript.interpret.directions import (
    Direction,
    base_rate,
    contrast,
    contrast_set,
    entropy,
    headline,
    largest,
    own_expectation,
    ranked,
    softmax,
    surprisal,
)

LOGITS = np.random.default_rng(0).normal(scale=2.0, size=15)
BASE = np.random.default_rng(1).normal(size=15)


@pytest.mark.parametrize(
    "direction",
    [
        contrast(LOGITS, 5, 7),
        contrast_set(LOGITS, 5),
        own_expectation(LOGITS, 5),
        base_rate(BASE, LOGITS, 5),
    ],
    ids=lambda direction: direction.view,
)
class TestEveryDirection:
    def test_sums_to_zero(self, direction: Direction) -> None:
        assert direction.w.sum() == pytest.approx(0.0, abs=1e-12)

    def test_gives_the_total_with_its_remainder(self, direction: Direction) -> None:
        assert LOGITS @ direction.w + direction.remainder == pytest.approx(
            direction.total, abs=1e-9
        )

    def test_measures_its_own_total(self, direction: Direction) -> None:
        assert direction.measure(LOGITS[None])[0] == pytest.approx(direction.total, abs=1e-12)


def test_a_contrast_is_the_log_ratio_of_two_probabilities() -> None:
    p = softmax(LOGITS)

    assert contrast(LOGITS, 5, 7).total == pytest.approx(np.log(p[7] / p[5]))


def test_a_contrast_set_is_the_smallest_that_holds_nine_tenths_of_the_other_events() -> None:
    direction = contrast_set(LOGITS, 5)
    possible = np.delete(softmax(LOGITS), [0, 1, 5])
    against = softmax(LOGITS)[list(direction.against)]

    assert 5 not in direction.against
    assert against.sum() >= 0.9 * possible.sum()
    assert against.sum() - against.min() < 0.9 * possible.sum()
    assert direction.total == pytest.approx(np.log(against.sum() / softmax(LOGITS)[5]))


def test_own_expectation_is_surprisal_minus_entropy() -> None:
    expected = surprisal(LOGITS[None], np.array([5]))[0] - entropy(LOGITS)

    assert own_expectation(LOGITS, 5).total == pytest.approx(expected)


def test_an_own_expectation_is_measured_by_what_was_expected_not_by_what_would_be() -> None:
    direction = own_expectation(LOGITS, 5)
    p, other = softmax(LOGITS), LOGITS[::-1].copy()

    log_odds = np.log(softmax(other) / softmax(other)[5])
    assert direction.measure(other[None])[0] == pytest.approx(p @ log_odds)


def test_the_base_rate_view_starts_from_the_surprisal_under_the_base() -> None:
    direction = base_rate(BASE, LOGITS, 5)

    start = BASE @ direction.w + direction.remainder
    assert start == pytest.approx(surprisal(BASE[None], np.array([5]))[0])


def test_the_base_rate_view_is_complete_for_sharp_predictions() -> None:
    sharp = 20.0 * LOGITS

    direction = base_rate(BASE, sharp, 5)

    assert sharp @ direction.w + direction.remainder == pytest.approx(direction.total, abs=1e-9)


def test_the_headline_contrasts_with_one_event_only_when_it_has_half_the_probability() -> None:
    sure, unsure = np.zeros(15), np.zeros(15)
    sure[7] = 5.0

    assert headline(sure, 5).against == (7,)
    assert headline(unsure, 5).view == "contrast set"


def test_a_beginning_is_never_expected() -> None:
    logits = LOGITS.copy()
    logits[:2] = 50.0

    assert not {0, 1} & set(ranked(logits))
    assert not {0, 1} & set(contrast_set(logits, 5).against)


def test_an_event_that_was_the_most_probable_is_held_against_the_next() -> None:
    best = int(ranked(LOGITS)[0])

    assert best not in headline(LOGITS, best).against


def test_the_largest_come_first_and_equal_ones_in_their_order() -> None:
    values = np.array([[1.0, 3.0, 2.0], [3.0, -np.inf, 2.0]])

    assert largest(values, 3).tolist() == [1, 3, 2]
    assert largest(values, 9).tolist() == [1, 3, 2, 5, 0, 4]
