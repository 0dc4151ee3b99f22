"""Models of the labelled sets, trained once and kept until what they depend on changes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ..model.folder import Model, load_model
from ..training.train import train_model
from .kept import FOLDER as WORK
from .kept import fingerprint
from .labelled import Dataset

_SOURCES = ("benchmarks/datasets.py", "benchmarks/labelled.py", "model/*.py", "training/*.py")


def model_of(dataset: Dataset, *, seed: int = 0, work: Path = WORK / "models") -> Model:
    """The default model of this set's training streams; its summary says how long it took."""
    name = f"{dataset.name}-{seed}"
    # In a folder of its own, as training leaves a list beside it.
    out = work / f"{name}-{fingerprint((*_SOURCES, 'interpret/reference.py'))[:12]}" / "model"
    if out.exists():
        return load_model(out)
    for outdated in work.glob(f"{name}-*"):
        shutil.rmtree(outdated)
    return train_model(replace(dataset.config, out=out, seed=seed), lambda line: print(f"  {line}"))
