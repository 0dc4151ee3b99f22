"""Logs as a training reads them: how they are read is found out, and what is amiss is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from offscript.model.errors import InputError
from offscript.training.config import TrainConfig
from offscript.training.source import Source, event_config, read


def prepared(tmp_path: Path, lines: list[str]) -> tuple[Path, Source]:
    """A log of these lines, and what reads it."""
    log = tmp_path / "log"
    log.write_text("".join(line + "\n" for line in lines))
    return log, Source([log], tmp_path)


def silent(_: str) -> None:
    """Nothing is reported."""


def test_a_key_that_matches_nothing_is_explained_as_the_log_was_said_to_be_read(
    tmp_path: Path,
) -> None:
    lines = [json.dumps({"pod": f"p{i % 30}", "m$g": f"done {i}"}) for i in range(120)]
    log, source = prepared(tmp_path, lines)
    config = TrainConfig((log,), tmp_path / "m", stream_key="pid", message="m$g")
    events = event_config(config, source, silent)

    with pytest.raises(InputError, match=r"'?pid'? \(field\) is in .*; candidates are pod  \(30"):
        read(config, source, events, None)


def test_auto_prefers_a_key_that_gives_as_many_streams_as_are_needed(tmp_path: Path) -> None:
    lines = [
        json.dumps({"action": "a", "client": f"c{i % 16}", "hue": f"h{i % 40 // 2}"})
        for i in range(320)
    ]
    log, source = prepared(tmp_path, lines)
    config = TrainConfig((log,), tmp_path / "m", stream_key="auto")

    assert event_config(config, source, silent).stream_key == "hue"
    endless = replace(config, endless=True)
    assert event_config(endless, source, silent).stream_key == "client"


def test_auto_says_that_no_key_gives_enough_streams_and_what_the_best_is(tmp_path: Path) -> None:
    lines = [json.dumps({"action": "a", "client": f"c{i % 16}"}) for i in range(320)]
    log, source = prepared(tmp_path, lines)
    config = TrainConfig((log,), tmp_path / "m", stream_key="auto")

    with pytest.raises(InputError, match=r"gives 20 streams.*the best is client  \(16 streams"):
        event_config(config, source, silent)
