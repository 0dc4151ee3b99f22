"""Tests of the detector's look for streams that have fallen silent."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from offscript.model.detector import Detector
from offscript.model.folder import Model, load_model


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def test_silent_streams_are_ended_a_few_at_a_time(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.model.detector._LOOK", 3)
    keys = list("abcde")
    name = model.vocabulary.names[-1]
    times = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    some, all_ = (Detector(model, limits=False) for _ in range(2))
    for detector in (some, all_):
        detector.observe(keys, [name] * 5, times)
    idle = model.config.streams.idle_seconds

    pieces = [some.end_some_idle(np.array([5.0 + 2.0 * idle]), 2) for _ in range(4)]

    assert [(len(piece.surprisal), more) for piece, more in pieces] == [
        (2, True),  # of a, b and c, the first two
        (2, True),
        (1, False),
        (0, True),  # it begins anew, and nothing is left
    ]
    ended = np.concatenate([piece.surprisal for piece, _ in pieces])
    assert np.array_equal(np.sort(ended), np.sort(all_.end_idle(5.0 + 2.0 * idle).surprisal))


def test_a_stream_that_is_heard_of_again_is_not_ended(model: Model) -> None:
    detector = Detector(model, limits=False)
    name = model.vocabulary.names[-1]
    idle = model.config.streams.idle_seconds
    detector.observe(["a", "b"], [name] * 2, np.array([0.0, 0.0]))
    detector.observe(["a"], [name], np.array([idle]))

    ended, more = detector.end_some_idle(np.array([idle + 1.0]), 8)

    assert (len(ended.surprisal), more) == (1, False)
    assert detector.end_some_idle(np.array([idle + 1.0]), 8)[0].surprisal.size == 0


def test_a_streams_silence_is_counted_by_the_clock_of_its_source(model: Model) -> None:
    idle, name = model.config.streams.idle_seconds, model.vocabulary.names[-1]
    detector = Detector(model, limits=False)
    streams = [f"s{n}" for n in range(4)]
    source = np.array([1, 2, 3, 1], dtype=np.int32)
    detector.observe(streams, [name] * 4, np.zeros(4), source=source)
    late = idle + 1.0

    def ended(now: list[float]) -> int:
        return len(detector.end_some_idle(np.array(now), 8)[0].surprisal)

    assert ended([0.0, 0.0, math.nan, 0.0]) == 0
    assert ended([0.0, late, math.nan, 0.0]) == 2, "those of source 1"
    assert ended([0.0, late, late]) == 1, "the one of 2; of one that is not there that of 0 counts"
    detector.leave([3])
    assert ended([late, 0.0, 0.0, 0.0]) == 1
