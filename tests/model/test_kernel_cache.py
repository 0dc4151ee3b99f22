"""The kernels compile wherever they are."""

from __future__ import annotations

import subprocess
import sys

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
