"""Commands that are cut short: nobody reads what they print, or somebody stops them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offscript.cli import main
from offscript.model.folder import load_model
from offscript.training import train
from offscript.training.folds import Fits

KEY = r"session=(\w+)"


def test_a_model_is_written_though_nobody_reads_what_training_says(
    tiny_log: Path, tmp_path: Path
) -> None:
    words = ["train", tiny_log, "--stream-key", KEY, "--newest", "--steps", 40, "--out"]
    command = [sys.executable, "-m", "offscript.cli", *map(str, [*words, tmp_path / "m"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(timeout=120)

    assert (process.returncode, said) == (0, b"")
    assert load_model(tmp_path / "m").summary["streams"] == 600


def test_an_edited_model_is_written_though_nobody_reads_what_it_does(
    tiny_model: Path, tmp_path: Path
) -> None:
    words = ["edit", tiny_model, "--head", "L0H0", "--by", "0.5", "--out", tmp_path / "edited"]
    command = [sys.executable, "-m", "offscript.cli", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate(timeout=120)

    assert (process.returncode, said) == (0, b"")
    assert load_model(tmp_path / "edited").sha256 != load_model(tiny_model).sha256


def test_a_training_that_is_interrupted_says_how_it_goes_on(
    tiny_log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["train", tiny_log, "--stream-key", KEY, "--newest", "--steps", "40"]
    command = [*map(str, words), "--out", str(tmp_path / "m")]

    def interrupted(fits: Fits, report: object) -> None:
        fits.fitted(0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train, "learn", interrupted)
        status = main(command)

    assert status == 130
    assert f"goes on from {tmp_path}/.m.checkpoint*" in capsys.readouterr().err
    assert list(tmp_path.glob(".m.checkpoint*"))

    beside = tmp_path / ".m.checkpoint.checkpoint"  # of a model called m.checkpoint
    beside.touch()

    assert main(command) == 0
    assert list(tmp_path.glob(".m.checkpoint*")) == [beside]
