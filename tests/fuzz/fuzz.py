"""One target under atheris: python -m offscript.tests.fuzz.fuzz TARGET MODEL FOLDER SECONDS|FILE

A target is a file beside this one: `SEEDS` are inputs to begin from, `prepare` gives what takes
one. What that raises is a fault, and so is an input that takes more than 20 s; the input is left in
FOLDER, and with its FILE in place of SECONDS it alone is run.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import atheris

# What Numba compiles must keep its bytecode.
_ROOT = Path(__file__).resolve().parent.parent.parent
_NOT_WATCHED = [
    "offscript.model.simd",
    "offscript.model.tables",
    *(f"offscript.{path.parent.name}.{path.stem}" for path in _ROOT.glob("*/*kernels.py")),
]
_HANGS = 20  # seconds; a busy machine may take some


def fuzz(name: str, model: Path, folder: Path, last: str) -> None:
    """Feed a target until the time is over; it ends the process."""
    with atheris.instrument_imports(include=["offscript"], exclude=_NOT_WATCHED):
        target = import_module(f"offscript.tests.fuzz.{name}")
    corpus, work = folder / "corpus", folder / "work"
    for made in (corpus, work):
        made.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    once = [last] if Path(last).is_file() else [f"-max_total_time={last}", str(corpus)]
    bounds = [
        f"-timeout={_HANGS}",
        "-max_len=8192",
        "-len_control=0",
        "-rss_limit_mb=8192",
        "-verbosity=1",
    ]
    atheris.Setup(
        [name, *bounds, f"-artifact_prefix={folder}/", *once], target.prepare(model, work)
    )
    atheris.Fuzz()


if __name__ == "__main__":
    os.environ["GRPC_VERBOSITY"] = "NONE"
    chosen, at, into, end = sys.argv[1:]
    fuzz(chosen, Path(at), Path(into), end)
