"""From one model to the next a stream keeps its events, or begins anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.detector import Detector
from offscript.model.folder import Model, load_model
from offscript.service.carry import carry
from offscript.service.reading import Reader
from offscript.tests.service.engines import raw
from offscript.tests.service.versions import renumbered, without

Lines = Callable[..., list[str]]
WRITTEN = "session=<*> admin: setting <*> written"


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def observed(detector: Detector, lines: list[str]) -> np.ndarray:
    rows = Reader(detector.model).read(raw(lines))
    return detector.observe(rows.stream, rows.name, rows.time).surprisal


def test_a_stream_goes_on_under_other_numbers_as_if_nothing_had_happened(
    model: Model, session: Lines
) -> None:
    new, lines = renumbered(model), session("0a", odd=True)
    before, through, after = Detector(model), Detector(model), Detector(new)
    observed(before, lines[:3])

    assert carry(before, after).tolist() == []
    assert after.known() == ["0a"]
    assert observed(after, lines[3:]) == pytest.approx(observed(through, lines)[3:], abs=1e-5)
    one, other = (
        {f.detector: f.statistic for f in d.end(["0a"]).findings} for d in (through, after)
    )
    assert other == pytest.approx(one, abs=1e-5)
    assert one


@pytest.mark.parametrize("events", [100, 500])  # within what a stream keeps, and past it
def test_a_long_stream_goes_on_with_all_that_is_kept_of_it(
    model: Model, session: Lines, events: int
) -> None:
    lines = [line for _ in range(events) for line in session("0a", odd=True)][: events + 20]
    through, before, after = Detector(model), Detector(model), Detector(renumbered(model))
    expected = observed(through, lines)[events:]
    observed(before, lines[:events])

    assert carry(before, after).tolist() == []
    assert observed(after, lines[events:]) == pytest.approx(expected, abs=1e-5)


def test_a_stream_with_an_event_that_the_new_model_does_not_know_is_left_behind(
    model: Model, session: Lines
) -> None:
    new, before = without(model, WRITTEN), Detector(model)
    observed(before, [*session("0a")[:2], *session("0b")[:3]])

    after = Detector(new)
    after.forget(carry(before, after))

    assert after.known() == ["0a"]
    observed(after, session("0b")[3:])
    assert after.joined(["0a", "0b"]).tolist() == [False, True]


def test_events_that_neither_model_knows_are_no_reason_to_begin_anew(
    model: Model, session: Lines
) -> None:
    before = Detector(model)
    observed(before, session("0a", odd=True)[:3])

    assert carry(before, Detector(renumbered(model))).tolist() == []


def test_with_another_stream_key_all_begin_anew(model: Model, session: Lines) -> None:
    events = replace(model.config.events, stream_key=r"user=(\w+)")
    new, before = replace(model, config=replace(model.config, events=events)), Detector(model)
    observed(before, session("0a")[:3])

    after = Detector(new)
    assert carry(before, after).tolist() == []
    assert after.known() == []


def test_a_detector_without_streams_has_none_to_carry(model: Model) -> None:
    assert carry(Detector(model), Detector(renumbered(model))).tolist() == []
