"""An environment of its own for a peer whose Python, or whose packages, are not ours."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .kept import FOLDER as WORK


class NoEnvironmentError(Exception):
    """There is no interpreter for it, or its packages cannot be had."""


def interpreter(names: Sequence[str]) -> str:
    """The first of these commands that runs. (A version manager's may be there and refuse.)"""
    for name in names:
        try:
            found = subprocess.run(
                [name, "-c", "import sys; print(sys.executable)"],
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return found.stdout.strip()
    raise NoEnvironmentError(f"no interpreter found: tried {', '.join(names)}")


def kept_environment(requirements: Path, work: Path = WORK) -> Path | None:
    """The Python of the environment with exactly these packages, if it has been made."""
    folder = _folder(requirements, work)
    return folder / "bin" / "python" if (folder / "made").exists() else None


def environment(requirements: Path, names: Sequence[str], work: Path = WORK) -> Path:
    """The same; made where it has not been, with the first of these interpreters.

    It is kept until the file of requirements, which pins every version, changes.
    """
    known = kept_environment(requirements, work)
    if known is not None:
        return known
    folder = _folder(requirements, work)
    python = folder / "bin" / "python"
    _run([interpreter(names), "-m", "venv", "--clear", folder])
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([python, *install, "-r", requirements])
    (folder / "made").touch()
    return python


def _folder(requirements: Path, work: Path) -> Path:
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    return work / f"{requirements.stem}-{wanted}"


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise NoEnvironmentError(f"{command[0]} {command[1]} {command[2]}: {last}")
