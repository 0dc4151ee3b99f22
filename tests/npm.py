"""Packages of Node.js for tests, installed once for a lock file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def install(source: Path, copy: Path) -> None:
    """Make `copy` hold the packages that `source` asks for; skip the test where npm is not here."""
    if shutil.which("npm") is None and os.environ.get("CI") != "true":
        pytest.skip("npm is not here")
    lock = (source / "package-lock.json").read_text()
    done = copy / "installed"
    if not done.exists() or done.read_text() != lock:
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / name, copy)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=300)
        done.write_text(lock)
