"""The report of a training says what is wrong with the log, and with the model, and what helps."""

from __future__ import annotations

import random
import re
from pathlib import Path

from offscript.training.config import TrainConfig
from offscript.training.train import train_model

KEY = r"session=(\w+)"


def reported(log: Path, *, stream_key: str | None = None, steps: int = 2) -> list[str]:
    """The report of a short training, line by line."""
    said: list[str] = []
    asked = TrainConfig((log,), log.with_name("m"), stream_key=stream_key, steps=steps, quiet=True)
    train_model(asked, said.append)
    return said


def test_a_model_that_alerts_on_what_is_normal_ends_its_report_with_a_warning(
    tmp_path: Path,
) -> None:
    log = tmp_path / "short.log"
    words = [random.Random(i).choice(["open", "read", "write", "shut"]) for i in range(70)]
    lines = [f"2026-03-01 12:{i // 60:02d}:{i % 60:02d} {word}" for i, word in enumerate(words)]
    log.write_text("\n".join(lines) + "\n")

    said = reported(log, steps=40)

    assert said[0] == "read 70 lines: 70 events in 1 stream"
    (budget,) = (line for line in said if line.startswith("budget: "))
    assert re.search(r"/day .*, the smallest that 2 held-out blocks can support", budget)
    assert said[-2].startswith("model written to")
    assert said[-1].startswith("warning: ")
    assert said[-1].endswith("train on more logs")


def test_a_log_of_which_most_lines_have_no_key_is_warned_of(tmp_path: Path) -> None:
    log = tmp_path / "mixed.log"
    lines = [
        f"2026-03-01 12:{i // 2:02d}:00 {'session=' + str(i) if i % 2 else 'nobody'} {word}"
        for i in range(80)
        for word in ("open", "shut")
    ]

    for more in (0, 1):
        log.write_text("\n".join(lines + ["2026-03-01 13:00:00 nobody"] * more) + "\n")
        said = reported(log, stream_key=KEY)
        assert ("warning: 81 of 161 lines have no stream key" in "\n".join(said)) == bool(more)


def test_where_no_stream_ends_no_time_is_named_after_which_one_has(tmp_path: Path) -> None:
    log = tmp_path / "open.log"
    lines = [
        f"2026-03-01 {hour:02d}:00:{i:02d} session={i} beat"
        for hour in range(12)
        for i in range(40)
    ]
    log.write_text("\n".join(lines) + "\n")

    said = reported(log, stream_key=KEY)

    (line,) = (line for line in said if "end within the recording" in line)
    assert line == (
        "0 of 40 streams end within the recording: no end was seen (give --complete if all of them "
        "do, or --idle SECONDS)"
    )
