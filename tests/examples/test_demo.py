"""The demonstration tells the truth, and the truth is good enough to show."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_demo_catches_most_planted_sessions_within_its_budget_and_explains_one() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "offscript.cli", "demo"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    caught = re.search(r"caught +(\d+) of (\d+)", result.stdout)
    false = re.search(r"false alerts +(\d+) of .*budget: ([\d.]+)", result.stdout)
    named = re.search(r"cause named +(\d+) of (\d+)", result.stdout)
    assert caught is not None
    assert false is not None
    assert named is not None
    # What was measured is 96 %, 4 and 90 %; other processors round otherwise and train otherwise.
    assert int(caught[1]) >= 0.85 * int(caught[2])
    assert int(false[1]) <= 3 * float(false[2])
    assert int(named[1]) >= 0.8 * int(named[2])
    assert "Expected `" in result.stdout
    assert re.search(r"The parts add up within \d+e-1\d", result.stdout)
