"""Two processes fit what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offscript.model.folder import load_model


@pytest.mark.slow
def test_two_processes_reach_the_loss_of_one_and_only_the_first_writes(
    tiny_log: Path, tmp_path: Path
) -> None:
    losses = {}
    for processes in (1, 2):
        launch = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
        out = tmp_path / f"of-{processes}"
        asked = ["train", tiny_log, "--out", out, "--stream-key", r"session=(\w+)", "--steps", "60"]
        run = subprocess.run(
            [sys.executable, "-m", *launch, "offscript.cli", *map(str, asked)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("model written") == 1
        losses[processes] = load_model(out).summary["losses"]

    assert losses[2] == pytest.approx(losses[1], rel=1e-3)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"of-1", "of-1.oddest", "of-2", "of-2.oddest"}
