"""Anomalies among the training streams: every method is fitted as if all were normal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offscript.benchmarks import contamination
from offscript.benchmarks.contamination import entries_of, reviewed
from offscript.benchmarks.datasets import published, sequences
from offscript.benchmarks.results import read_results


@pytest.mark.slow
def test_one_command_writes_f1_by_the_share_of_anomalies(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contamination, "WORK", tmp_path)
    asked = ["sepsis_injected", "--methods", "counts", "--shares", "0", "0.01", "0.05"]

    contamination.main([*asked, "--results", str(tmp_path)])

    results = read_results(tmp_path / "contamination.json")
    assert {row.method for row in results.rows} == {"counts_cosine", "counts_cosine_idf"}
    assert {row.measure for row in results.rows} == {
        "f1_calibrated",
        "f1_contaminated",
        "f1_contaminated_0.05",
    }


@pytest.mark.slow
def test_what_training_set_apart_is_compared_with_what_was_put_in(
    files: Path, tmp_path: Path
) -> None:
    labelled = sequences(files, published, tmp_path)

    (whole, *parts) = entries_of(labelled, 0.05, "offscript", device="cpu")

    assert whole["method"] == "offscript"
    assert 0.0 <= whole["values"]["outliers_found_contaminated_0.05"] <= 1.0
    assert {"f1_reviewed_1_contaminated_0.05", "f1_reviewed_2_contaminated_0.05"} <= set(
        whole["values"]
    )
    assert all(list(part["values"]) == ["f1_contaminated_0.05"] for part in parts)


@pytest.mark.slow
def test_anomalies_that_are_listed_are_left_out_and_normals_are_not(
    files: Path, tmp_path: Path
) -> None:
    labelled = sequences(files, published, tmp_path)
    bad, *others = labelled.train
    listed = [{"stream": bad, "label": 0, "alike": others[:2]}, {"stream": others[2], "label": 1}]
    (tmp_path / "model.oddest").write_text("".join(json.dumps(one) + "\n" for one in listed))

    left, f1 = reviewed(labelled, tmp_path, frozenset([bad]), seed=0, device="cpu")

    assert left.train == tuple(others[2:])
    assert 0.0 <= f1 <= 1.0
