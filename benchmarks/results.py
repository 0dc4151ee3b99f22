"""What a benchmark leaves behind: its rows, and all that one needs to get them again."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "results"
PACKAGES = (  # those that move the figures
    "drain3",
    "grpcio",
    "numba",
    "numpy",
    "onnxruntime",
    "river",
    "scikit-learn",
    "torch",
)


@dataclass(frozen=True)
class Row:
    """One measured value; `low` and `high` bound it where an interval was measured."""

    dataset: str
    method: str
    model: str  # preset and manifest's SHA-256; of a baseline its setting
    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None  # what the value was measured on: sequences, events, repeats
    target: float | None = None


def row_of_turns(
    dataset: str,
    method: str,
    setting: str,
    measure: str,
    values: Sequence[float],
    target: float | None = None,
    n: int | None = None,
) -> Row:
    """A value measured in turns: their median, with the least and the largest."""
    several = len(values) > 1
    low, high = (min(values), max(values)) if several else (None, None)
    middle = float(np.median(values))
    return Row(dataset, method, setting, measure, middle, low, high, n or len(values), target)


@dataclass(frozen=True)
class Results:
    """One run of one benchmark."""

    name: str
    commit: str
    command: str
    seed: int
    machine: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    rows: tuple[Row, ...] = field(default=())


def run_results(
    name: str,
    rows: Sequence[Row],
    *,
    seed: int,
    seconds: float,
    arguments: Sequence[str] | None = None,
    gpu: str = "",
) -> Results:
    """The results of the run that is going on. `arguments`: of the command line, as they came;
    `gpu`: the name of the one that it used.
    """
    return Results(
        name=name,
        commit=commit(),
        command=command(name, sys.argv[1:] if arguments is None else arguments),
        seed=seed,
        machine={**machine(), "gpu": gpu} if gpu else machine(),
        versions=versions(),
        seconds=round(seconds, 1),
        rows=tuple(rows),
    )


def write_results(results: Results, folder: Path = FOLDER) -> Path:
    """Writes NAME.json, a row a line, so that a new run shows in a diff what has changed."""
    head = asdict(results)
    rows = [
        {k: v for k, v in row.items() if k != "target" or v is not None} for row in head["rows"]
    ]
    del head["rows"]
    lines = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in rows)
    text = (
        json.dumps(head, indent=2, ensure_ascii=False)[:-2] + f',\n  "rows": [\n{lines}\n  ]\n}}\n'
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results.name}.json"
    path.write_text(text, encoding="utf-8")
    return path


def read_results(path: Path) -> Results:
    """What `write_results` wrote; TypeError where a field is missing or unknown."""
    value = json.loads(path.read_text(encoding="utf-8"))
    rows = tuple(Row(**row) for row in value.pop("rows"))
    return Results(rows=rows, **value)


def command(name: str, arguments: Sequence[str]) -> str:
    """The command that does it again; where its folders lie is each machine's own affair."""
    words = list(arguments)
    for option in ("--data", "--results", "--work"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
        words = [word for word in words if not word.startswith(f"{option}=")]
    return shlex.join(["scripts/bench", name, *words])


def commit() -> str:
    """The commit that was measured; with a + where the source differs from it."""

    def git(*words: str) -> str:
        run = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--", "..", ":!results", ":!../*.md", ":!../docs")
    return (git("rev-parse", "HEAD") or "unknown") + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """Processor, the cores that we may use, memory, system."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else ())
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Of Python, of ours, and of the packages that move the figures."""
    found = {"python": platform.python_version()}
    for package in ("offscript", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
