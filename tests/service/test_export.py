"""Alerts in a Parquet file are those of the service, all of them, with what was said of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from offscript.model.errors import InputError, OverloadError
from offscript.protos import detector_pb2 as pb
from offscript.service.client import Client
from offscript.service.export import export
from offscript.tests.service.engines import sessions

Lines = Callable[..., list[str]]


def test_every_alert_is_a_row_with_its_verdict(
    client: Client, session: Lines, tmp_path: Path
) -> None:
    client.score_once(pb.EventBatch(lines=sessions(session, 600)))
    listed = list(client.alerts())
    client.feedback(listed[0].id, "anomalous", comment="an intruder", by="ann")
    client.feedback(listed[0].id, "resolved", comment="locked out", by="bob")
    client.feedback(listed[1].id, "normal")
    client.feedback(listed[1].id, "open", comment="it is not")

    path = tmp_path / "alerts.parquet"
    count = export(client.alerts(), path)
    table = pq.read_table(path)

    assert count == len(listed) == table.num_rows > 100
    assert table["id"].to_pylist() == [alert.id for alert in listed]
    assert set(table.column_names) >= {
        field.name.removesuffix("_micros")
        for field in pb.Alert.DESCRIPTOR.fields
        if field.name != "feedback"
    }
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["status"], first["verdict"]) == ("resolved", "anomalous")
    assert (first["comment"], first["by"]) == ("locked out", "bob")
    assert first["time"].timestamp() == listed[0].time_micros / 1e6
    second = table.slice(1, 1).to_pylist()[0]
    assert (second["status"], second["comment"]) == ("open", "it is not")
    assert table["verdict"].to_pylist()[1:] == [None] * (count - 1)


def test_it_is_written_a_thousand_rows_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "alerts.parquet"

    assert export((pb.Alert(id=str(n), status=pb.STATUS_OPEN) for n in range(2500)), path) == 2500
    assert pq.ParquetFile(path).num_row_groups == 3
    assert export(iter(()), path) == 0
    assert pq.read_table(path).num_rows == 0


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[pb.Alert]:
        yield pb.Alert(id="a")
        raise OverloadError("gone", retry_seconds=1.0)

    with pytest.raises(OverloadError):
        export(breaks_off(), tmp_path / "alerts.parquet")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*where.parquet'"):
        export(iter(()), tmp_path / "no" / "where.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused_before_anything_is_asked_for(tmp_path: Path) -> None:
    for folder in (tmp_path, Path(), Path("/")):
        with pytest.raises(InputError, match="expected the name of a Parquet file, got the folder"):
            export(iter(()), folder)


def test_without_pyarrow_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # importing it fails
    with pytest.raises(InputError, match=r"pip install 'offscript\[parquet\]'"):
        export(iter(()), tmp_path / "alerts.parquet")
