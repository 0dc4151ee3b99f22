"""Logs as a training reads them: how they are read is found out, and what is amiss is said."""

from __future__ import annotations

import json
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
