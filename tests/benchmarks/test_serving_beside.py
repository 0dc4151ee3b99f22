"""Peers take their turns beside the scorer; one that cannot be had is left out, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from offscript.benchmarks import serving_beside
from offscript.benchmarks.environment import NoEnvironmentError
from offscript.benchmarks.serving_beside import beside, parsers
from offscript.benchmarks.serving_peers import incremental
from offscript.benchmarks.serving_traffic import Recorded, recorded
from offscript.model.folder import Model, load_model
from offscript.training.config import TrainConfig


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def source(model: Model, tiny_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    config = TrainConfig((tiny_log,), tmp_path_factory.mktemp("beside") / "model")
    return recorded("tiny", config, model)


def test_without_detectmate_the_others_have_their_rows(
    source: Recorded,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def none(*_: object) -> Path:
        raise NoEnvironmentError("no interpreter found")

    monkeypatch.setattr(serving_beside, "environment", none)
    monkeypatch.setattr(serving_beside, "PEERS", {"torch_incremental": incremental})
    monkeypatch.setattr(serving_beside, "TURNS", 1)

    rows = {row.measure: row for row in beside(source, model, "tiny", events=4096)}

    assert {row.method for row in rows.values()} == {"torch_incremental"}
    assert {row.dataset for row in rows.values()} == {"tiny_1k_streams"}
    assert rows["times_theirs"].target == 20.0
    assert rows["times_theirs"].value > 0.0
    assert rows["times_theirs_computed"].value > 0.0
    assert "without DetectMate: no interpreter found" in capsys.readouterr().out


def test_the_parser_and_drain3_have_their_lines_per_second(source: Recorded, model: Model) -> None:
    rows = {(row.method, row.measure): row for row in parsers(source, model, "tiny")}

    ours, theirs = (rows[method, "lines_per_second"] for method in ("offscript", "drain3"))
    assert {row.dataset for row in rows.values()} == {"tiny_lines"}
    times = rows["drain3", "times_theirs"].value
    assert ours.low is not None
    assert ours.high is not None
    assert theirs.low is not None
    assert theirs.high is not None
    assert ours.low / theirs.high <= times <= ours.high / theirs.low
