"""The harness runs everything once, and goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from offscript.benchmarks import detection
from offscript.benchmarks.baselines import BASELINES
from offscript.benchmarks.datasets import NAMES, published, sequences
from offscript.benchmarks.detection import FAMILIES, Asked, of_set, rows, run_ahead, runs
from offscript.benchmarks.kept import fingerprint, keep, read_kept
from offscript.benchmarks.labelled import Labelled
from offscript.benchmarks.results import read_results

SIMPLE = ("length", "counts", "forest")


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(
        data=tmp_path,
        seeds=2,
        device="cpu",
        work=tmp_path / "work",
        scratch=tmp_path,
        fresh=False,
    )


@pytest.fixture
def fitted(files: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The families that were fitted, one after the other, on the tiny set."""

    def tiny(name: str, data: Path, scratch: Path) -> Labelled:
        return sequences(files, published, scratch)

    fitted: list[str] = []
    monkeypatch.setattr(detection, "load", tiny)
    for name, fit in BASELINES.items():

        def counted(training: object, name: str = name, fit: object = fit) -> object:
            fitted.append(name)
            return fit(training)  # type: ignore[operator]

        monkeypatch.setitem(BASELINES, name, counted)
    return fitted


def test_what_draws_nothing_at_random_runs_once_and_the_rest_for_every_seed() -> None:
    planned = list(runs("files", FAMILIES, 3))

    seeds = {family: sum(run.family == family for run in planned) for family in FAMILIES}
    assert seeds["length"] == seeds["ngram"] == 1
    assert seeds["offscript"] == seeds["deeplog"] == 3
    assert len({run.path for run in planned}) == len(planned)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(asked: Asked, fitted: list[str]) -> None:
    first = list(islice(of_set("files", SIMPLE, asked), 2))

    again = list(of_set("files", SIMPLE, asked))

    assert again[:2] == first
    # Two that draw nothing and two seeds of trees, without each of four folds and to all.
    assert len(fitted) == 5 * 4
    assert list(dict.fromkeys(fitted))[:2] == ["length", "counts"]


@pytest.mark.slow
def test_nothing_is_run_again_until_its_sources_change(
    asked: Asked, fitted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = list(of_set("files", SIMPLE, asked))
    fitted.clear()

    twice = list(of_set("files", SIMPLE, asked))
    assert not fitted
    assert twice == once

    list(of_set("files", SIMPLE, replace(asked, fresh=True)))
    assert len(fitted) == 20
    fitted.clear()

    monkeypatch.setattr(detection, "fingerprint", lambda _: "changed")
    list(of_set("files", SIMPLE, asked))
    assert len(fitted) == 20


def test_a_kept_value_is_found_under_its_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "work" / "one.json"

    keep(path, "key", [1, 2])

    assert read_kept(path, "key") == [1, 2]
    assert read_kept(path, "other") is None
    assert read_kept(tmp_path / "none.json", "key") is None


def test_a_fingerprint_tells_other_sources_apart() -> None:
    assert fingerprint(["model/*.py"]) == fingerprint(["model/*.py"])
    assert fingerprint(["model/*.py"]) != fingerprint(["training/*.py"])


def test_a_row_has_the_mean_and_the_range_over_seeds() -> None:
    entries = [
        {"method": "m", "setting": "s", "values": {"auroc": v}, "sizes": {"auroc": 7}}
        for v in (0.5, 0.9, 0.7)
    ]
    single = {"method": "one", "setting": "", "values": {"auroc": 0.4}, "sizes": {"auroc": 7}}

    several, alone = rows("files", [*entries, single])

    assert (several.value, several.low, several.high, several.n) == (0.7, 0.5, 0.9, 7)
    assert (alone.value, alone.low, alone.high) == (0.4, None, None)


def test_one_command_writes_the_results_of_what_was_asked_for(
    fitted: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "WORK", tmp_path)

    asked = ["sepsis_injected", "--methods", *SIMPLE, "--seeds", "1", "--results", str(tmp_path)]
    detection.main(asked)

    results = read_results(tmp_path / "detection.json")
    assert {row.method for row in results.rows} >= {"length", "counts_cosine", "isolation_forest"}
    assert {row.measure for row in results.rows} >= {"auroc", "f1_calibrated"}
    assert "--results" not in results.command
    assert set(NAMES) >= {row.dataset for row in results.rows}


@pytest.mark.slow
def test_runs_side_by_side_keep_what_runs_in_a_row_find(data: Path, tmp_path: Path) -> None:
    asked = Asked(data, seeds=1, device="cpu", work=tmp_path / "work", scratch=tmp_path, fresh=True)
    planned = list(runs("hadoop", ("length", "counts"), 1))

    run_ahead(planned, asked, 2)

    found = list(of_set("hadoop", ("length", "counts"), replace(asked, fresh=False)))
    alone = replace(asked, work=tmp_path / "alone")
    expected = list(of_set("hadoop", ("length", "counts"), alone))
    assert [(one["method"], one["values"]) for one in found] == [
        (one["method"], one["values"]) for one in expected
    ]
    assert len(list(asked.work.iterdir())) == len(planned)
