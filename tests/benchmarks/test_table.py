"""Tables follow the results, and those of this repository are fresh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offscript.benchmarks.results import FOLDER, Results, Row, command, read_results, write_results
from offscript.benchmarks.table import cell, filled, main, number
from offscript.model.errors import InputError

PAGE = """# Results
<!-- table speed: events_per_second, rss_mb -->
old
<!-- /table -->
end
"""


@pytest.fixture
def results() -> Results:
    return Results(
        name="speed",
        commit="0123456789abcdef",
        command="scripts/bench speed",
        seed=3,
        machine={"cpu": "a processor", "cores": 2, "memory_gb": 8, "system": "Linux"},
        versions={"python": "3.11.9"},
        seconds=12.0,
        rows=(
            Row("postgres", "offscript", "tiny", "events_per_second", 123456.7, 120000, 130000, 5),
            Row("postgres", "offscript", "tiny", "rss_mb", 98.76),
            Row("postgres", "ngram", "n=4", "events_per_second", 0.5, target=1.0),
        ),
    )


def test_the_tables_of_this_repository_are_fresh() -> None:
    assert main(["--check"]) == 0


def test_every_results_file_of_this_repository_can_be_read() -> None:
    for path in FOLDER.glob("*.json"):
        results = read_results(path)

        assert results.name == path.stem
        assert results.rows


def test_results_that_are_written_are_read_back(results: Results, tmp_path: Path) -> None:
    assert read_results(write_results(results, tmp_path)) == results


def test_a_table_shows_intervals_and_what_was_not_measured(
    results: Results, tmp_path: Path
) -> None:
    write_results(results, tmp_path)

    lines = filled(PAGE, tmp_path).splitlines()

    assert lines[2] == "| data | method | events_per_second | rss_mb |"
    assert lines[4] == "| postgres | offscript | 123,457 (120,000–130,000) | 98.8 |"
    assert lines[5] == "| postgres | ngram | 0.500 | – |"
    assert lines[7] == "`scripts/bench speed` at 0123456, seed 3: 12 s on 2 cores of a processor."
    assert lines[8:] == ["<!-- /table -->", "end"]


def test_an_interval_that_rounds_to_its_value_is_not_shown() -> None:
    row = Row("postgres", "offscript", "m", "auroc", 0.98712, low=0.98708, high=0.98744, n=3)

    assert cell(row) == "0.987"
    assert cell(replace(row, high=0.98751)) == "0.987 (0.987–0.988)"


def test_a_fresh_table_stays_as_it_is(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path)
    once = filled(PAGE, tmp_path)

    assert filled(once, tmp_path) == once


def test_a_table_without_results_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run scripts/bench speed"):
        filled(PAGE, tmp_path)


def test_a_table_of_a_measure_that_nobody_took_is_refused(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path)

    with pytest.raises(InputError, match="no measure auroc"):
        filled(PAGE.replace("rss_mb", "auroc"), tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (0.12345, "0.123"), (1.0, "1.00"), (12.345, "12.3"), (2e-10, "2.0e-10")],
)
def test_numbers_have_three_digits_that_say_something(value: float, text: str) -> None:
    assert number(value) == text


def test_the_command_that_is_kept_does_not_name_a_folder_of_this_machine() -> None:
    for folder in ("--data", "--results", "--work"):
        assert (
            command("speed", [folder, "/somewhere", "--seed", "3"])
            == command("speed", [f"{folder}=/somewhere", "--seed", "3"])
            == "scripts/bench speed --seed 3"
        )


def test_a_mark_chooses_methods_and_sets_in_its_own_order(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path)
    mark = "events_per_second; methods: ngram, offscript; data: postgres"

    lines = filled(PAGE.replace("events_per_second, rss_mb", mark), tmp_path).splitlines()

    assert lines[4] == "| postgres | ngram | 0.500 |"
    assert lines[5] == "| postgres | offscript | 123,457 (120,000–130,000) |"


def test_methods_stand_side_by_side_where_a_mark_says_so(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path)
    mark = "events_per_second; methods across"

    lines = filled(PAGE.replace("events_per_second, rss_mb", mark), tmp_path).splitlines()

    assert lines[2:5] == [
        "| events_per_second | offscript | ngram |",
        "|---|---:|---:|",
        "| postgres | 123,457 (120,000–130,000) | 0.500 |",
    ]


def test_each_measure_stands_beside_its_aim_where_a_mark_says_so(
    results: Results, tmp_path: Path
) -> None:
    rows = tuple(replace(row, target=100_000.0) for row in results.rows)
    write_results(replace(results, rows=rows), tmp_path)
    mark = "events_per_second; methods: offscript; with aims"

    lines = filled(PAGE.replace("events_per_second, rss_mb", mark), tmp_path).splitlines()

    assert lines[2:5] == [
        "| data | measure | value | aim | of |",
        "|---|---|---:|---:|---:|",
        "| postgres | events_per_second | 123,457 (120,000–130,000) | 100,000 | 5 |",
    ]


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ("rss_mb; methods: nobody", "no method nobody"),
        ("rss_mb; data: nowhere", "no data set nowhere"),
        ("rss_mb; colour: red", "expected `methods"),
        ("rss_mb, events_per_second; methods across", "one measure"),
    ],
)
def test_a_mark_that_cannot_be_followed_is_refused(
    mark: str, complaint: str, results: Results, tmp_path: Path
) -> None:
    write_results(results, tmp_path)

    with pytest.raises(InputError, match=complaint):
        filled(PAGE.replace("events_per_second, rss_mb", mark), tmp_path)
