"""A peer's environment is made once, and what stands in its way is said in one line."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from offscript.benchmarks.environment import NoEnvironmentError, environment, interpreter


def test_the_first_interpreter_that_runs_is_taken() -> None:
    assert interpreter(("no-such-python", "false", sys.executable)) == sys.executable


def test_without_an_interpreter_it_says_what_was_tried(tmp_path: Path) -> None:
    (tmp_path / "peer.txt").write_text("peer==1.0\n", encoding="utf-8")

    with pytest.raises(NoEnvironmentError, match="tried no-such-python, false$"):
        environment(tmp_path / "peer.txt", ("no-such-python", "false"), tmp_path)


def test_an_environment_that_is_made_is_used_again(tmp_path: Path) -> None:
    requirements = tmp_path / "peer.txt"
    requirements.write_text("peer==1.0\n", encoding="utf-8")
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    (tmp_path / f"peer-{wanted}").mkdir()
    (tmp_path / f"peer-{wanted}" / "made").touch()

    assert environment(requirements, (), tmp_path) == tmp_path / f"peer-{wanted}/bin/python"
    requirements.write_text("peer==1.1\n", encoding="utf-8")
    with pytest.raises(NoEnvironmentError):
        environment(requirements, (), tmp_path)


def test_a_command_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && echo {python} && exit 0\n'
        "echo what went before >&2; echo no room left >&2; exit 3\n",
        encoding="utf-8",
    )
    python.chmod(0o755)
    (tmp_path / "peer.txt").write_text("peer==1.0\n", encoding="utf-8")

    with pytest.raises(NoEnvironmentError, match=r"python -m venv: no room left$"):
        environment(tmp_path / "peer.txt", (str(python),), tmp_path)
