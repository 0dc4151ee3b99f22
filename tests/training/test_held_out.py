"""Statistics of held-out streams come from the served scorer."""

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
from offscript.training.held_out import (
    Stream,
    block_statistics,
    cropped,
    statistics_of,
    units_of,
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


def test_each_block_of_an_endless_stream_has_the_maxima_of_its_events(
    tiny_endless_model: Path,
) -> None:
    model = load_model(tiny_endless_model)
    seconds = model.config.streams.block_seconds
    times = 1.7 * seconds * np.sqrt(np.arange(20.0))
    some = [
        replace(stream, key=str(number), times=times[: len(stream.names)])
        for number, stream in enumerate(streams(model, 3))
    ]

    blocks = units_of(some, model.config.streams)
    values = block_statistics(model, some).values

    assert len(values) == len(blocks) > 3
    detectors = {block.key: Detector(model, limits=False) for block in blocks}
    for row, block in zip(values, blocks, strict=True):
        assert len(set(np.floor(block.times / seconds))) == 1
        seen = detectors[block.key].observe([""] * len(block.names), block.names, block.times)
        assert row[DETECTORS.index("event")] == pytest.approx(seen.surprisal.max(), rel=1e-5)


def test_joined_streams_are_not_held_to_whole_streams_counts(model: Model) -> None:
    crops = cropped(fitting(streams(model, 20)), np.random.default_rng(1))

    statistics = statistics_of(model, crops)

    # A stream that is joined at an event which only ever opens streams is taken for a whole one.
    sure = {name for name, silence in model.config.streams.openings.items() if silence == 0.0}
    opened = [stream.names[0] in sure for stream in crops]
    np.testing.assert_array_equal(statistics.joined, ~np.array(opened))
    counts = statistics.values[:, DETECTORS.index("counts")]
    np.testing.assert_array_equal(np.isnan(counts), statistics.joined)


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
