"""A newer model after an older one: what it takes over, and what is said of the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offscript.model.event import EventConfig
from offscript.model.folder import Model, load_model
from offscript.training.config import TrainConfig
from offscript.training.successor import taken_over, train_after


@pytest.fixture(scope="module")
def before(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def test_what_is_left_open_is_as_in_the_model_before(before: Model, tmp_path: Path) -> None:
    config = taken_over(TrainConfig((tmp_path / "log",), tmp_path / "new"), before)

    events = before.config.events
    assert (config.format, config.stream_key) == (events.format, events.stream_key)
    assert (config.time, config.masks) == (events.time, events.masks)
    assert config.idle_seconds is None


def test_what_is_asked_for_stays(before: Model, tmp_path: Path) -> None:
    asked = TrainConfig(
        (tmp_path / "log",), tmp_path / "new", stream_key="job=(\\w+)", budget="9/day"
    )

    config = taken_over(asked, before)

    assert (config.stream_key, config.budget) == (asked.stream_key, asked.budget)


def test_a_budget_is_taken_over_if_it_was_asked_for_and_no_other(
    before: Model, tmp_path: Path
) -> None:
    def budget(**summary: object) -> str | None:
        older = replace(before, summary=summary)
        return taken_over(TrainConfig((tmp_path / "log",), tmp_path / "new"), older).budget

    assert before.summary["budget"] is None
    assert before.calibration.budget != "1/1,000 streams"  # fell back to less
    assert budget(budget=None) is None
    assert budget(budget="9/day") == "9/day"
    assert budget() == before.calibration.budget  # an earlier version did not say


def test_events_are_named_by_the_field_that_is_asked_for_alone(
    before: Model, tmp_path: Path
) -> None:
    fields = EventConfig("json", "job", message="text", time="ts")
    older = replace(before, config=replace(before.config, events=fields))
    asked = TrainConfig((tmp_path / "log",), tmp_path / "new", event=("kind",))

    config = taken_over(asked, older)

    assert (config.event, config.message) == (("kind",), None)
    assert (config.stream_key, config.time) == ("job", "ts")


def test_nothing_is_read_as_before_in_another_format(before: Model, tmp_path: Path) -> None:
    asked = TrainConfig((tmp_path / "log",), tmp_path / "new", format="json", stream_key="job")

    config = taken_over(asked, before)

    assert (config.format, config.stream_key, config.time) == ("json", "job", None)


def test_streams_that_have_a_key_and_no_end_stay_endless(before: Model, tmp_path: Path) -> None:
    streams = replace(before.config.streams, endless=True, block_seconds=60.0)
    endless = replace(before, config=replace(before.config, streams=streams))

    assert taken_over(TrainConfig((tmp_path / "log",), tmp_path / "new"), endless).endless


@pytest.mark.slow
def test_after_the_training_it_is_said_what_becomes_of_the_last_days_alerts(
    before: Model, tiny_log: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    config = TrainConfig((tiny_log,), tmp_path / "new", steps=20, quiet=True)

    after = train_after(config, before, said.append)

    assert load_model(tmp_path / "new").sha256 == after.sha256
    assert after.config.events == before.config.events
    text = "\n".join(said)
    assert "streams of the last day, which the new model has learned from: alerts in " in text
    assert text.index("model written to") < text.index("streams of the last day")
