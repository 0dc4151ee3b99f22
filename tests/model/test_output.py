"""Alerts in files say the same in either format."""

from __future__ import annotations

import errno
import json
import math
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from offscript.model.alert import Alert
from offscript.model.errors import InputError
from offscript.model.output import alert_file


def alert(number: int) -> Alert:
    return Alert(
        id=f"{number:032x}",
        model="m",
        stream="s",
        detector="counts",
        time=1772452800.25,
        first_seen=1772452800.25,
        last_seen=math.nan,
        count=2,
        score=9.5,
        threshold=7.0,
        statistic=0.5,
        limit=0.25,
        joined=True,
        position=3,
        surprisal=1.5,
        entropy=0.5,
        observed="<end>",
        text=None,
        expected="größer",
        expected_probability=0.75,
        tokens=(0, 5, 2),
        times=(math.nan, 1772452799.5, 1772452800.25),
        lines=(None, "a line", None),
        counts={5: 1, 7: 3},
    )


def test_json_lines_read_back_as_the_alerts(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    with alert_file(path) as write:
        write(alert(1))
        write(alert(2))

    values = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    assert values == [alert(1).to_json(), alert(2).to_json()]


def test_parquet_has_every_field_of_an_alert_in_types_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "alerts.parquet"
    with alert_file(path) as write:
        for number in range(2500):  # several row groups
            write(alert(number))

    table = pq.read_table(path)
    row = table.slice(2400, 1).to_pylist()[0]

    assert table.num_rows == 2500
    own = [field.name for field in fields(Alert) if field.name != "model_name"]  # a service's
    assert table.column_names == own
    assert row["id"] == f"{2400:032x}"
    assert row["time"] == datetime(2026, 3, 2, 12, 0, 0, 250_000, UTC)
    assert (row["last_seen"], row["times"][0], row["text"]) == (None, None, None)
    assert (row["tokens"], row["lines"]) == ([0, 5, 2], [None, "a line", None])
    assert (dict(row["counts"]), row["expected"], row["joined"]) == ({5: 1, 7: 3}, "größer", True)


def test_parquet_without_alerts_is_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    with alert_file(path):
        pass

    assert pq.read_table(path).num_rows == 0


@pytest.mark.parametrize("name", ["alerts.jsonl", "alerts.parquet"])
def test_alerts_before_an_error_are_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError), alert_file(path) as write:
        write(alert(1))
        raise InputError("the log is damaged")

    whole = pq.read_table(path).num_rows if name.endswith("t") else path.read_text().count("\n")
    assert whole == 1


def test_without_pyarrow_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # importing it fails

    with pytest.raises(InputError, match=r"pip install 'offscript\[parquet\]', or .* \.jsonl"):
        alert_file(tmp_path / "alerts.parquet").__enter__()


def test_a_full_disk_is_named_with_the_file() -> None:
    with (
        pytest.raises(OSError, match="/dev/full") as caught,
        alert_file(Path("/dev/full")) as write,
    ):
        write(alert(1))

    assert caught.value.errno == errno.ENOSPC
