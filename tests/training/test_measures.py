"""Measures are those that one computes by hand, and false alerts follow their law."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from offscript.model.calibration import conformal_threshold
from offscript.training.measures import (
    FalseAlertLaw,
    alerting,
    auroc,
    average_precision,
    budgets_kept,
    charged,
    curve,
    delays,
    event_auroc,
    ranking,
    resplit_false_alerts,
    supported_budgets,
    supported_rate,
    tpr_at_fpr,
)

SCORES = np.array([3.0, 2.0, 2.0, 1.0])
ANOMALOUS = np.array([True, False, True, False])


def test_ranking_measures_are_those_that_one_computes_by_hand() -> None:
    c = curve(SCORES, ANOMALOUS)

    assert auroc(c) == (1 + 1 + 0.5 + 1) / 4
    assert average_precision(c) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert [tpr_at_fpr(c, fpr) for fpr in (0.0, 0.49, 0.5)] == [0.5, 0.5, 1.0]


def test_ranking_measures_agree_with_scikit_learn_on_scores_with_ties() -> None:
    rng = np.random.default_rng(0)
    anomalous = rng.random(500) < 0.2
    scores = np.round(rng.normal(anomalous, 1.0), 1)

    c = curve(scores, anomalous)

    assert auroc(c) == pytest.approx(roc_auc_score(anomalous, scores))
    assert average_precision(c) == pytest.approx(average_precision_score(anomalous, scores))


def test_streams_with_nothing_to_judge_are_equal_to_one_another() -> None:
    scores = np.array([-np.inf, -np.inf, 1.0])

    assert auroc(curve(scores, np.array([True, False, True]))) == (0.5 + 1) / 2


def test_a_false_alert_weighs_as_much_as_the_streams_it_stands_for() -> None:
    alerts = np.array([True, True, False, False])

    plain = alerting(alerts, ANOMALOUS, rate=0.25)
    weighted = alerting(alerts, ANOMALOUS, rate=0.25, weight=10.0)

    assert plain == {"f1_calibrated": 0.5, "caught": 0.5, "false_alert_ratio": 2.0}
    assert weighted["f1_calibrated"] == 2 / (2 + 1 + 10)


def test_the_oracle_takes_the_best_threshold_of_all() -> None:
    assert ranking(SCORES, ANOMALOUS)["f1_oracle"] == 2 * 2 / (2 + 2 + 1)
    assert ranking(SCORES, ANOMALOUS, weight=100.0)["f1_oracle"] == 2 * 1 / (1 + 2)


def test_an_event_is_charged_with_what_came_after_it_too() -> None:
    ended = charged(np.array([1.0, 5.0, 2.0, 3.0]), 3)
    still_open = charged(np.array([1.0, 5.0, 2.0]), 3)

    np.testing.assert_array_equal(ended, [7.0, 8.5, 5.0])
    np.testing.assert_array_equal(still_open, [7.0, 7.0, 2.0])


def test_events_of_all_streams_are_ranked_together() -> None:
    scores = [np.array([4.0, 1.0]), np.array([2.0, 3.0])]
    labels = [np.array([True, False]), np.array([True, False])]

    assert event_auroc(scores, labels) == 3 / 4


def test_a_delay_counts_from_the_first_wrong_event_to_the_next_alert() -> None:
    places = [np.array([1, 6, 9]), np.array([4]), np.array([2]), np.array([7]), np.zeros(0, int)]

    found = delays(places, np.array([4, 4, 3, -1, 0]))

    np.testing.assert_array_equal(found, [2, 0])


def test_a_rate_needs_one_stream_less_than_it_is_rare() -> None:
    assert supported_rate(999) == supported_rate(5000) == 0.001
    assert supported_rate(199) == 1 / 200
    assert supported_budgets(998) == [0.005, 0.01]
    assert supported_budgets(199) == [0.005, 0.01]
    assert supported_budgets(98) == []


def test_false_alerts_follow_their_law_when_all_streams_are_drawn_alike() -> None:
    rng = np.random.default_rng(0)
    law = FalseAlertLaw(n=299, m=500, rate=0.01)
    counts = []
    for _ in range(2000):
        scores = rng.exponential(size=799)
        threshold = conformal_threshold(scores[:299], 0.01)
        counts.append(int((scores[299:] > threshold).sum()))

    k, n, m = 3, 299, 500
    spread = m * k * (n + 1 - k) * (n + 1 + m) / ((n + 1) ** 2 * (n + 2))  # a textbook's
    assert law.k == k
    assert np.mean(counts) == pytest.approx(m * k / (n + 1), rel=0.05)
    assert np.var(counts) == pytest.approx(spread, rel=0.1)
    assert law.fit_p_value(np.array(counts)) > 0.01
    assert np.mean([law.p_value(count) <= 0.05 for count in counts]) < 0.06


def test_a_threshold_for_another_rate_is_found_out() -> None:
    scores = np.random.default_rng(1).exponential(size=1500)

    counts = resplit_false_alerts(scores, 500, 0.02, seed=0)

    assert FalseAlertLaw(n=500, m=1000, rate=0.02).fit_p_value(counts) > 0.01
    assert FalseAlertLaw(n=500, m=1000, rate=0.01).fit_p_value(counts) < 1e-6


def test_equal_scores_make_false_alerts_rarer() -> None:
    scores = np.random.default_rng(2).exponential(size=1500)

    smooth = resplit_false_alerts(scores, 500, 0.05, seed=0)
    coarse = resplit_false_alerts(np.floor(scores), 500, 0.05, seed=0)

    assert coarse.mean() < 0.8 * smooth.mean()


def test_habits_that_change_with_time_break_the_chronological_budget_alone() -> None:
    rng = np.random.default_rng(3)
    moments = rng.permutation(1500).astype(np.float64)
    scores = rng.exponential(size=1500) * (1 + moments / 500)

    kept = budgets_kept(scores[:500], scores[500:], moments=moments, seed=0)

    assert kept["false_alert_ratio_0.01"] == pytest.approx(1.0, abs=0.1)
    assert kept["false_alert_p_0.01"] > 0.01
    assert kept["false_alert_ratio_0.01_chronological"] > 3
    assert kept["false_alert_p_0.01_chronological"] < 0.001
    assert "false_alert_ratio_0.001" not in kept


def test_without_times_nothing_is_chronological() -> None:
    scores = np.random.default_rng(4).exponential(size=600)

    kept = budgets_kept(scores[:300], scores[300:], moments=None, seed=0)

    assert not [name for name in kept if "chronological" in name]
