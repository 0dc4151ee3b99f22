"""The budget holds on streams not seen before, whatever the held-out ones look like."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.model.alert import DETECTORS
from offscript.training.calibrate import combined, fit_tails, fit_threshold, fit_weights
from offscript.training.held_out import Statistics


@pytest.mark.slow
def test_the_budget_holds_over_resplits() -> None:
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(200):
        values = rng.exponential(size=(3000, len(DETECTORS))) ** 2
        held, test = np.split(values, [1000])
        statistics = Statistics(held, np.zeros(len(held), np.bool_))
        threshold = fit_threshold(statistics, 0.01, count_scale=0.1)
        shares.append(float((combined(threshold, test) > threshold.threshold).mean()))

    # Of 1,000 held-out streams the 10th largest score is passed by 10 of 1,001.
    assert np.mean(shares) == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("share", [0.02, 1.0])
def test_streams_that_are_alike_keep_the_budget_however_a_processor_rounds(share: float) -> None:
    values = np.zeros((1000, len(DETECTORS)))
    values[: int(1000 * share)] = 5.0
    alike = Statistics(values, np.zeros(1000, np.bool_))

    threshold = fit_threshold(alike, 0.01, count_scale=0.1)

    assert not (combined(threshold, values + 1e-6) > threshold.threshold).any()
    each = threshold.limits()[: DETECTORS.index("stream")]
    assert (values[:, : len(each)] + 1e-6 <= each).all()
    assert (combined(threshold, values + 20.0) > threshold.threshold).all()


def test_a_habit_whose_streams_come_one_after_another_sets_no_threshold_out_of_reach() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(size=(1000, len(DETECTORS)))
    values[300:330] += 200.0
    habit = Statistics(values, np.zeros(1000, np.bool_))

    threshold = fit_threshold(habit, 0.01, count_scale=0.1)

    assert 0 < (combined(threshold, values) > threshold.threshold).sum() <= 20
    assert (combined(threshold, values[300:330] + 400.0) > threshold.threshold).all()


def test_streams_that_are_alike_keep_the_budget_if_the_served_decoder_is_less_sure_of_them() -> (
    None
):
    values = np.repeat([[0.0], [0.1], [0.2], [0.3]], 30, axis=0) * np.ones(len(DETECTORS))
    nobody = np.zeros(120, np.bool_)
    learned = np.full_like(values, 0.4)
    learned[0] = 9.0  # and one that is as odd as the budget allows

    threshold = fit_threshold(Statistics(values, nobody, learned), 2 / 121, count_scale=0.1)

    assert np.flatnonzero(combined(threshold, learned) > threshold.threshold).tolist() == [0]


def test_event_and_end_share_one_tail() -> None:
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(500, len(DETECTORS)))

    tails = fit_tails(values, count_scale=0.1)

    assert tails["event"] == tails["end"]
    assert tails["event"] != tails["drift"]


@pytest.mark.parametrize("count", [30, 2000])
def test_whatever_passes_a_limit_passes_the_threshold(count: int) -> None:
    rng = np.random.default_rng(1)
    normal = Statistics(rng.exponential(size=(count, 7)), np.zeros(count, np.bool_))
    threshold = fit_threshold(normal, 1 / 25, count_scale=0.1)
    odd = 3.0 * rng.exponential(size=(5000, 7))

    passed = (odd > threshold.limits())[:, : DETECTORS.index("stream")].any(axis=1)

    assert passed.any()
    assert (combined(threshold, odd)[passed] > threshold.threshold).all()


def test_detectors_that_say_the_same_share_one_weight_and_one_alone_has_all_of_it() -> None:
    rng = np.random.default_rng(4)
    scores = np.full((4000, len(DETECTORS)), -np.inf)
    once = rng.exponential(size=4000)
    for name in ("event", "drift", "level"):
        scores[:, DETECTORS.index(name)] = once
    scores[:, DETECTORS.index("counts")] = rng.exponential(size=4000)

    weights = fit_weights(scores, np.zeros((1, len(DETECTORS))))

    assert [weights[name] for name in ("event", "drift", "level")] == pytest.approx(
        [1 / 3] * 3, 0.01
    )
    assert weights["counts"] == pytest.approx(1.0, abs=0.1)
    assert weights["end"] == weights["event"]
    assert weights["new"] == 1.0
