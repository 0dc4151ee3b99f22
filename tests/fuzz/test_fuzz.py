"""No bytes from outside make a fault of ours: no foreign exception, no INTERNAL, no hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SECONDS = 8
_OTHERS = {"fuzz", "filling", "test_fuzz"}
TARGETS = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _OTHERS)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_makes_a_fault(target: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is for x86-64 alone")
    program = [sys.executable, "-m", "offscript.tests.fuzz.fuzz", target]

    finished = subprocess.run(
        [*program, str(tiny_model), str(tmp_path), str(_SECONDS)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-6000:]
    assert "Done " in finished.stderr


def test_every_target_is_found() -> None:
    assert {"requests", "bodies", "lines", "folders", "states", "files"} <= set(TARGETS)
