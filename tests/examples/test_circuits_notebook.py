"""The notebook's code runs from top to bottom, on a lesser model than the one that it shows."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from offscript.examples.postgres.labels import FOLDER, STREAM_KEY
from offscript.model.logs import read_lines

NOTEBOOK = FOLDER.parent / "circuits" / "circuits.ipynb"
LINES = 15_000  # of the recording: enough for every event that the notebook names


def cells(kind: str) -> list[dict[str, Any]]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the first part of the recording, after a few steps."""
    from offscript.training.config import TrainConfig
    from offscript.training.train import train_model

    folder = tmp_path_factory.mktemp("circuits")
    log = folder / "begin.log"
    lines = islice(read_lines([FOLDER / "recording.log.xz"]), LINES)
    log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    config = TrainConfig(
        (log,), folder / "model", stream_key=STREAM_KEY, steps=40, newest=True, quiet=True
    )
    train_model(config, list[str]().append)
    return folder


@pytest.mark.slow
def test_the_notebook_runs_and_its_parts_add_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}

    for cell in cells("code"):
        exec("".join(cell["source"]), names)

    said = capsys.readouterr().out
    assert "nats per event" in said
    assert names["paths"].total()[0] == pytest.approx(names["log_odds"](names["corrupt"].logits))


def test_the_notebook_keeps_what_came_out_of_every_cell_and_nothing_else() -> None:
    for cell in cells("code")[:-1]:
        assert cell["metadata"] == {}
        assert all(output["name"] == "stdout" for output in cell["outputs"])
    assert sum(bool(cell["outputs"]) for cell in cells("code")) == len(cells("code"))
