"""An outcome is judged at a threshold that no label has touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.benchmarks.baselines import BASELINES
from offscript.benchmarks.baselines.baseline import Training
from offscript.benchmarks.baselines.new_event import NewEvent
from offscript.benchmarks.datasets import published, sequences
from offscript.benchmarks.labelled import Dataset, read_dataset
from offscript.benchmarks.outcome import Outcome, of_baseline, of_offscript
from offscript.benchmarks.quality import alerts_of, measured, size_of
from offscript.model.calibration import conformal_threshold

from .conftest import ANOMALOUS, NORMAL, TRAIN, write_sequences

FAMILIES = ("new_event", "length", "counts", "stide", "ngram", "forest", "offscript")


def read(files: Path, scratch: Path, *, newest: bool = False) -> Dataset:
    scratch.mkdir()
    labelled = sequences(files, published, scratch)
    config = replace(labelled.config, steps=40, newest=newest)
    return read_dataset(replace(labelled, config=config), scratch)


@pytest.fixture
def dataset(files: Path, tmp_path: Path) -> Dataset:
    return read(files, tmp_path / "scratch")


def outcomes(dataset: Dataset, family: str, out: Path) -> list[Outcome]:
    if family == "offscript":
        return of_offscript(dataset, out, lambda _: None, seed=0, device="cpu")
    return of_baseline(dataset, BASELINES[family], seed=0, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_permuting_the_test_labels_changes_no_score_and_no_threshold(
    family: str, truth: list[int], tmp_path: Path
) -> None:
    permuted = np.random.default_rng(0).permutation(truth).tolist()
    found = []
    for name, labels in (("true", truth), ("permuted", permuted)):
        path = write_sequences(tmp_path / f"{name}.jsonl.gz", labels)
        # One decoder each: its folds know no more of the labels, and take four.
        dataset = read(path, tmp_path / name, newest=family == "offscript")
        found.append(outcomes(dataset, family, tmp_path / f"{name}.model"))

    for true, other in zip(*found, strict=True):
        rate = 1 / (len(true.calibration) + 1)
        assert conformal_threshold(true.calibration, rate) == conformal_threshold(
            other.calibration, rate
        )
        np.testing.assert_array_equal(true.test, other.test)
        assert (true.alerts is not None) == (true.method == "offscript")
        np.testing.assert_array_equal(alerts_of(true), alerts_of(other))


def outcome(dataset: Dataset, test: list[float], **known: object) -> Outcome:
    """Calibration streams that score below 1, and test streams with these scores."""
    calibration = np.linspace(0.0, 1.0, len(dataset.calibrating))
    return replace(Outcome("made up", "", calibration, np.array(test)), **known)  # type: ignore[arg-type]


def test_measures_are_those_of_the_threshold_from_calibration_streams(dataset: Dataset) -> None:
    # Three false alerts; a quarter of the anomalies is caught, the others look normal.
    scores = [2.0] * 3 + [0.5] * (NORMAL - 3) + [3.0] * 5 + [0.5] * (ANOMALOUS - 5)

    values = measured(dataset, outcome(dataset, scores), seed=0)

    assert values["budget"] == pytest.approx(1 / (len(dataset.calibrating) + 1), abs=1e-5)
    assert values["caught"] == 5 / ANOMALOUS
    assert values["f1_calibrated"] == pytest.approx(2 * 5 / (5 + ANOMALOUS + 3), abs=1e-5)
    assert values["false_alert_ratio"] == pytest.approx(
        3 / NORMAL * (len(dataset.calibrating) + 1), abs=1e-3
    )
    assert "event_auroc" not in values
    assert "f1_rule" not in values


def test_published_prevalence_weighs_false_alerts_of_all_streams_but_not_of_unseen_ones(
    dataset: Dataset,
) -> None:
    scores = [2.0] * 3 + [0.5] * (NORMAL - 3) + [3.0] * ANOMALOUS
    all_but_one = np.arange(len(scores)) != NORMAL - 1
    heavy = replace(dataset, weight=10.0, unseen=all_but_one)

    values = measured(heavy, outcome(dataset, scores), seed=0)

    assert values["f1_calibrated"] == pytest.approx(2 * 20 / (2 * 20 + 10 * 3), abs=1e-5)
    assert values["f1_calibrated_unseen"] == pytest.approx(2 * 20 / (2 * 20 + 3), abs=1e-5)


def test_a_served_model_is_judged_by_the_alerts_that_it_raises(dataset: Dataset) -> None:
    scores = [0.5] * NORMAL + [3.0] * ANOMALOUS
    raised = np.arange(len(scores)) >= NORMAL + 5

    values = measured(dataset, outcome(dataset, scores, alerts=raised), seed=0)

    assert values["caught"] == (ANOMALOUS - 5) / ANOMALOUS
    assert values["auroc"] == 1.0


def test_a_methods_own_rule_is_measured_beside_the_calibrated_threshold(dataset: Dataset) -> None:
    scores = [0.0] * NORMAL + [0.5] * ANOMALOUS

    values = measured(dataset, outcome(dataset, scores, rule=0.1), seed=0)

    assert values["f1_rule"] == 1.0
    assert values["f1_calibrated"] == 0.0


def test_events_and_delays_are_measured_where_a_method_has_them(dataset: Dataset) -> None:
    assert dataset.first_wrong is not None
    events = [
        (np.arange(len(stream.names)) == wrong).astype(np.float64)
        for stream, wrong in zip(dataset.test, dataset.first_wrong.tolist(), strict=True)
    ]
    places = [np.array([len(stream.names)]) for stream in dataset.test]
    scores = [0.0] * (NORMAL + ANOMALOUS)

    values = measured(dataset, outcome(dataset, scores, events=events, places=places), seed=0)

    assert values["event_auroc"] == 1.0
    assert values["delay_events_p50"] == 1.0  # the last event is wrong, the end comes after it


def test_a_method_that_sees_the_missing_end_catches_the_streams_cut_short(
    dataset: Dataset,
) -> None:
    largest, mean = of_baseline(dataset, BASELINES["ngram"], seed=0, device="cpu")

    values = measured(dataset, largest, seed=0)
    assert values["auroc"] == values["caught"] == 1.0
    assert values["event_auroc"] > 0.99
    assert values["delay_events_p50"] == 1.0
    assert "delay_events_p50" not in measured(dataset, mean, seed=0)


def test_streams_that_a_method_set_apart_are_missed_by_no_measure(dataset: Dataset) -> None:
    timed = replace(
        dataset,
        rounds=[
            ([], [replace(s, times=np.full(len(s.names), float(at))) for at, s in enumerate(held)])
            for _, held in dataset.rounds
        ],
        test=[replace(s, times=np.full(len(s.names), 1e6)) for s in dataset.test],
    )
    kept = np.arange(len(dataset.calibrating)) >= 5
    whole = outcome(dataset, [0.0] * (NORMAL + ANOMALOUS))
    apart = replace(whole, calibration=whole.calibration[kept], kept=kept)

    values = measured(timed, apart, seed=0)

    assert values["budget"] == pytest.approx(1 / (len(dataset.calibrating) - 4), abs=1e-5)
    assert any(name.endswith("_chronological") for name in values)


def test_a_row_says_what_it_was_measured_on(dataset: Dataset) -> None:
    assert size_of(dataset, "auroc") == NORMAL + ANOMALOUS
    assert size_of(dataset, "caught") == ANOMALOUS
    assert size_of(dataset, "false_alert_ratio_0.005") == NORMAL
    assert size_of(dataset, "auroc_unseen") == dataset.unseen.sum()
    assert size_of(dataset, "event_auroc") == sum(len(stream.names) for stream in dataset.test)


def test_in_several_rounds_every_normal_stream_calibrates_what_has_not_seen_it(
    dataset: Dataset,
) -> None:
    normal = dataset.normal
    folds = [normal[0::2], normal[1::2]]
    crossed = replace(dataset, rounds=[(folds[1], folds[0]), (folds[0], folds[1])])
    learned: list[int] = []

    class Spy(NewEvent):
        def __init__(self, training: Training) -> None:
            learned.append(int(training.fit.counts.sum() + training.held.counts.sum()))
            super().__init__(training)

    (found,) = of_baseline(crossed, Spy, seed=0, device="cpu")

    assert learned == [TRAIN // 2, TRAIN // 2, TRAIN]
    assert len(found.calibration) == len(crossed.calibrating) == TRAIN
