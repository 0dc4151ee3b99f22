"""Statistics come from the served scorer, and the budget holds on streams not seen before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.alert import AT_END, DETECTORS
from offscript.model.calibration import Tail, Threshold
from offscript.model.detector import Detector
from offscript.model.folder import Model, load_model
from offscript.model.vocabulary import END
from offscript.training.calibrate import (
    Statistics,
    Stream,
    combined,
    cropped,
    fit_tails,
    fit_threshold,
    fit_weights,
    statistics_of,
)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def streams(model: Model, count: int) -> list[Stream]:
    rng = np.random.default_rng(0)
    names = model.vocabulary.names[4:]
    return [
        Stream(list(rng.choice(names, rng.integers(2, 20))), np.full(20, np.nan), True, True)
        for _ in range(count)
    ]


def fitting(some: list[Stream]) -> list[Stream]:
    return [replace(stream, times=stream.times[: len(stream.names)]) for stream in some]


def test_statistics_are_the_maxima_that_the_detector_sees(model: Model) -> None:
    some = fitting(streams(model, 30))

    values = statistics_of(model, some).values

    detector = Detector(model, limits=False)
    for row, stream in zip(values, some, strict=True):
        key = str(id(stream))
        owners = [key] * len(stream.names)
        seen = detector.observe(owners, stream.names, stream.times, started={key})
        assert row[DETECTORS.index("event")] == pytest.approx(seen.surprisal.max(), rel=1e-5)


def test_what_was_not_seen_to_end_has_no_end_statistic(model: Model) -> None:
    some = [replace(stream, ended=False) for stream in fitting(streams(model, 3))]

    values = statistics_of(model, some).values

    assert np.isnan(values[:, [DETECTORS.index(name) for name in AT_END]]).all()


def test_joined_streams_are_not_held_to_whole_streams_counts(model: Model) -> None:
    crops = cropped(fitting(streams(model, 20)), np.random.default_rng(1))

    statistics = statistics_of(model, crops)

    # A stream that is joined at an event which only ever opens streams is taken for a whole one.
    sure = {name for name, silence in model.config.streams.openings.items() if silence == 0.0}
    opened = [stream.names[0] in sure for stream in crops]
    np.testing.assert_array_equal(statistics.joined, ~np.array(opened))
    counts = statistics.values[:, DETECTORS.index("counts")]
    np.testing.assert_array_equal(np.isnan(counts), statistics.joined)


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


def test_a_stream_that_has_not_ended_has_no_level_that_counts(model: Model) -> None:
    tails = {
        "event": Tail((0.0,), (0.0,), 0.0, 2.3, 100.0, 0.0),
        "level": Tail((-1.0,), (0.0,), -0.5, 2.3, 1.0, 0.0),  # below that of a usual stream
    }
    threshold = Threshold(tails, dict.fromkeys(tails, 1.0), 3.0, 100)
    calibration = replace(model.calibration, whole=threshold, usual=0.0)
    detector = Detector(replace(model, calibration=calibration))
    name = model.vocabulary.names[-1]

    before = detector.observe(["s"] * 3, [name] * 3, np.full(3, np.nan), started={"s"}).findings
    at_end = detector.end(["s"]).findings

    assert not before
    assert {finding.token for finding in at_end} == {END}
