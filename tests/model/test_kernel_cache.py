"""The kernels compile wherever they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from offscript.model.kernel_cache import forget_outdated

# To root every folder can be written to, so Numba is told otherwise.
PROGRAM = """
import numba.core.caching

def no_folder(self):
    raise OSError("this file system is read-only")

for value in vars(numba.core.caching).values():
    if hasattr(value, "ensure_cache_path"):
        value.ensure_cache_path = no_folder

import numpy as np
from offscript.model.kernels import log_sum_and_entropy
print(log_sum_and_entropy(np.zeros(8, np.float32), 0, 8))
"""


def test_kernels_compile_where_nothing_can_be_kept() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("(2.079")
    assert "name one in NUMBA_CACHE_DIR" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_what_was_compiled_before_any_kernel_changed_is_not_used(tmp_path: Path) -> None:
    kept = tmp_path / "__pycache__"
    kept.mkdir()
    times = {
        tmp_path / "a_kernels.py": 20,
        tmp_path / "simd.py": 30,
        tmp_path / "other.py": 90,
        kept / "a_kernels.old.nbi": 25,
        kept / "a_kernels.new.nbi": 40,
        kept / "a_kernels.cpython-311.pyc": 25,
    }
    for path, moment in times.items():
        path.touch()
        os.utime(path, (moment, moment))

    forget_outdated(tmp_path)

    assert sorted(path.name for path in kept.iterdir()) == [
        "a_kernels.cpython-311.pyc",
        "a_kernels.new.nbi",
    ]
