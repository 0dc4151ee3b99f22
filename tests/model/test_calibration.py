"""Statistics become tail probabilities, and thresholds keep their budget."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.model.alert import DETECTORS
from offscript.model.calibration import (
    ONE_EVENT,
    Calibration,
    Tail,
    Threshold,
    conformal_threshold,
    fit_tail,
    together,
)


def columns(scores: dict[str, list[float]]) -> np.ndarray:
    """Scores by detector as one array, −∞ for the others."""
    n = len(next(iter(scores.values())))
    return np.column_stack([scores.get(name, [-np.inf] * n) for name in DETECTORS])


def test_a_tail_says_how_rare_a_value_was() -> None:
    x = np.random.default_rng(0).exponential(size=2000)

    tail = fit_tail(x, least_scale=0.1)

    for q in (0.5, 0.9, 0.99):
        assert tail.score(np.quantile(x, q)) == pytest.approx(-np.log(1 - q), abs=0.1)


def test_beyond_all_values_an_exponential_tail_goes_on_with_its_slope() -> None:
    x = np.random.default_rng(1).exponential(2.0, size=20_000)

    tail = fit_tail(x, least_scale=0.1)

    assert tail.shape < 0.15
    rise = tail.score(x.max() + 4.0) - tail.score(x.max() + 2.0)
    assert rise == pytest.approx(1.0, rel=0.35)


def test_what_is_not_known_has_no_score_whatever_the_others_were() -> None:
    for known in (np.zeros(50), np.arange(50.0)):
        assert np.isnan(fit_tail(known, least_scale=0.1).score(np.nan))


def test_a_heavy_tail_makes_large_values_less_surprising_than_a_light_one() -> None:
    rng = np.random.default_rng(2)
    light = fit_tail(rng.exponential(size=5000), least_scale=0.1)
    heavy = fit_tail(rng.pareto(2.0, size=5000), least_scale=0.1)

    assert heavy.shape > light.shape
    assert heavy.score(100.0) < light.score(100.0)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros(50),
        np.array([0.0] * 49 + [3.0]),
        np.arange(50.0),
        np.random.default_rng(3).pareto(1.0, 500),
    ],
    ids=["all equal", "one apart", "spread", "heavy"],
)
def test_scores_grow_with_the_value_and_limits_are_their_inverse(x: np.ndarray) -> None:
    tail = fit_tail(x, least_scale=0.5)
    values = np.linspace(x.min() - 1, x.max() + 50, 500)

    scores = tail.score(values)

    assert (np.diff(scores) >= 0).all()
    for score in (0.5, 2.0, 4.0, 7.0, 9.0):
        limit = tail.limit(score)
        assert tail.score(limit) <= score + 1e-9
        assert tail.score(limit + 1e-6 + abs(limit) * 1e-9) >= score - 1e-4 or limit == x.max()


def test_the_conformal_threshold_keeps_its_rate_on_average() -> None:
    rng = np.random.default_rng(4)

    rates = [
        float((rng.normal(size=2000) > conformal_threshold(rng.normal(size=499), 0.01)).mean())
        for _ in range(300)
    ]

    assert np.mean(rates) == pytest.approx(0.01, abs=0.0015)


def test_a_rate_that_the_streams_cannot_support_has_no_threshold() -> None:
    with pytest.raises(ValueError, match="cannot support"):
        conformal_threshold(np.zeros(98), 0.01)
    assert conformal_threshold(np.arange(99.0), 0.01) == 98.0


def test_a_calibration_survives_json() -> None:
    tail = fit_tail(np.arange(30.0), least_scale=0.5)
    threshold = Threshold({"event": tail}, {"event": 0.5}, 3.25, 30)
    calibration = Calibration(0.5, 1.0, "1/1,000 streams", 0.001, threshold, threshold)

    assert Calibration.from_json(calibration.to_json()) == calibration


def test_a_calibration_of_an_earlier_version_counts_all_that_is_in_a_tail() -> None:
    tail = fit_tail(np.arange(30.0), least_scale=0.5, least=ONE_EVENT)
    threshold = Threshold({"event": tail}, {"event": 0.5}, 3.25, 30)
    saved = Calibration(0.5, 1.0, "1/1,000 streams", 0.001, threshold, threshold).to_json()
    del saved["whole"]["tails"]["event"]["least"]

    earlier = Calibration.from_json(saved).whole.tails["event"]

    assert earlier.counted == tail.base < tail.counted == ONE_EVENT


def test_detectors_without_a_tail_raise_nothing() -> None:
    tail = Tail((0.0,), (0.0,), 0.0, 0.0, 1.0, 0.0)
    threshold = Threshold({"event": tail}, {"event": 1.0}, 1.0, 1)

    scores = threshold.score(np.full((1, 7), 99.0))

    assert np.isneginf(scores[0, 1:]).all()
    assert np.isposinf(threshold.limits()[1:-1]).all()


def test_detectors_that_are_nearly_sure_add_up_and_those_below_their_tails_do_not() -> None:
    some = {
        "event": [6.0, 6.0, 1.0],
        "drift": [5.0, 2.0, 2.0],
        "counts": [np.nan, -np.inf, np.nan],
    }
    joint = together(columns(some), np.full((1, len(DETECTORS)), 2.3))

    assert joint.tolist() == pytest.approx([np.sqrt(61.0), 6.0, 2.0])


def test_if_nothing_counts_a_stream_is_ranked_by_what_judges_all_events() -> None:
    some = {"event": [3.0, 5.0], "drift": [1.0, 1.0], "level": [1.5, 2.0]}

    joint = together(columns(some), np.full((1, len(DETECTORS)), 4.0))

    assert joint.tolist() == [1.5, 5.0]


def test_what_one_event_says_counts_past_one_normal_stream_in_fifty() -> None:
    x = np.random.default_rng(6).exponential(size=2000)
    tails = {
        "event": fit_tail(x, least_scale=0.1, least=ONE_EVENT),
        "drift": fit_tail(x, least_scale=0.1),
    }
    threshold = Threshold(tails, dict.fromkeys(tails, 1.0), 7.0, len(x))
    one_in_30, one_in_70 = np.quantile(x, [1 - 1 / 30, 1 - 1 / 70]).tolist()

    assert threshold.counted({"event": one_in_30, "drift": one_in_30}).keys() == {"drift"}
    assert threshold.counted({"event": one_in_70, "drift": 0.0}).keys() == {"event"}
    for at in (one_in_30, one_in_70):
        statistics = np.full((1, len(DETECTORS)), at)
        scores = threshold.counted({"event": at, "drift": at})
        joint = together(threshold.score(statistics), threshold.bases())
        assert joint == pytest.approx(np.sqrt(sum(s**2 for s in scores.values())))


def test_no_detector_alerts_by_what_does_not_count() -> None:
    x = np.random.default_rng(7).exponential(size=100)
    tail = fit_tail(x, least_scale=0.1, least=ONE_EVENT)
    threshold = Threshold({"event": tail}, {"event": 1.0}, 2.5, len(x))

    limit = threshold.limits()[DETECTORS.index("event")]

    assert tail.score(limit) == pytest.approx(ONE_EVENT)


def test_of_an_event_and_an_end_that_surprise_the_larger_counts() -> None:
    some = {"event": [6.0, 3.0], "end": [5.0, 7.0], "drift": [4.0, 0.0]}

    joint = together(columns(some), np.full((1, len(DETECTORS)), 2.3))

    assert joint.tolist() == pytest.approx([np.sqrt(52.0), 7.0])


def test_a_detectors_score_and_limit_carry_its_weight() -> None:
    tail = fit_tail(np.random.default_rng(5).exponential(size=2000), least_scale=0.1)
    threshold = Threshold({"drift": tail}, {"drift": 0.25}, 4.0, 2000)

    limit = threshold.limits()[DETECTORS.index("drift")]

    assert threshold.score_of("drift", limit) == pytest.approx(4.0)
    assert tail.score(limit) == pytest.approx(8.0)
    statistics = {"drift": float(limit), "event": 9.0}
    assert threshold.counted(statistics) == pytest.approx({"drift": 4.0})


@pytest.mark.parametrize("alike", [500, 470])
def test_what_all_streams_have_is_in_no_tail_however_a_processor_rounds(alike: int) -> None:
    x = np.append(np.full(alike, 0.25), np.linspace(0.3, 0.6, 500 - alike))

    tail = fit_tail(x, least_scale=0.5)

    assert tail.score(0.25 + 1e-6) == pytest.approx(tail.score(0.25))
    assert tail.limit(tail.counted) > 0.25 + 1e-6
    assert tail.score(2.0) > tail.base
