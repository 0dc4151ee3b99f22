"""Rows of log records: what the record says goes before what its body says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offscript.model.folder import load_model
from offscript.service.batch import Batch, Rows
from offscript.service.reading import Reader, plausible
from offscript.tests.service.otlp_requests import NOON

CLOSED = "session=<*> admin: console closed"
STAMP = "2026-03-02 12:00:00.000 "


@pytest.fixture(scope="module")
def reader(tiny_model: Path) -> Reader:
    return Reader(load_model(tiny_model))


def read(
    reader: Reader,
    lines: list[str],
    *,
    names: list[str] | None = None,
    streams: list[str] | None = None,
    times: list[float] | None = None,
) -> Rows:
    return reader.read(
        Batch(
            client="",
            seq=0,
            streams=streams,
            names=names or [""] * len(lines),
            lines=lines,
            times=np.full(len(lines), np.nan) if times is None else np.array(times),
            received=5.0,
        )
    )


def test_a_body_is_read_with_its_time_stamp_and_without_in_the_order_of_the_rows(
    reader: Reader,
) -> None:
    rows = read(
        reader,
        ["session=a admin: console closed", f"{STAMP}session=b admin: console closed"],
    )

    assert rows.stream == ["a", "b"]
    assert rows.name == [CLOSED, CLOSED]
    assert rows.time.tolist() == [5.0, NOON]
    assert rows.row is not None
    assert rows.row.tolist() == [0, 1]


def test_the_records_time_goes_before_the_lines(reader: Reader) -> None:
    line = f"{STAMP}session=a admin: console closed"

    assert read(reader, [line, line], times=[7.0, np.nan]).time.tolist() == [7.0, NOON]


def test_a_name_goes_before_what_the_body_says_whose_key_still_counts(reader: Reader) -> None:
    rows = read(reader, [f"{STAMP}session=a x", "session=b x", "x"], names=["one", "two", "three"])

    assert (rows.stream, rows.name) == (["a", "b"], ["one", "two"])
    assert rows.unkeyed == 1


def test_a_stream_that_is_given_goes_before_the_keys_in_the_body(reader: Reader) -> None:
    rows = read(
        reader,
        [
            "named",
            f"{STAMP}session=a admin: console closed",
            "session=a admin: console closed",
            "session=a to session=b",
            "never seen",
            " ",
        ],
        names=["one", *[""] * 5],
        streams=["s", "t", "u", "v", "w", "x"],
    )

    assert rows.stream == ["s", "t", "u", "v", "w"]
    assert rows.name == ["one", CLOSED, CLOSED, None, None]
    assert rows.continuations == 1


def test_a_key_in_a_body_twice_makes_one_row_and_two_keys_make_two(reader: Reader) -> None:
    rows = read(reader, ["session=a to session=a", "session=b to session=c"])

    assert rows.stream == ["a", "b", "c"]
    assert rows.row is not None
    assert rows.row.tolist() == [0, 1, 1]


def test_every_record_is_an_event_or_counted(reader: Reader) -> None:
    lines = ["session=a x", "x", "", f"{STAMP}x", STAMP] * 100
    rows = read(reader, lines)

    assert len(rows) + rows.unkeyed + rows.continuations + rows.broken == len(lines)


def test_a_time_far_ahead_of_its_arrival_counts_as_ten_minutes_ahead() -> None:
    times = np.array([0.0, 1e6, 1e6 + 599.0, 2.5e11, 1e6 + 1.0])
    rows = Rows(["a"] * 5, ["x"] * 5, times)

    bounded, ahead = plausible(rows, 1e6)

    assert bounded.time.tolist() == [0.0, 1e6, 1e6 + 599.0, 1e6 + 600.0, 1e6 + 1.0]
    assert ahead == 1
    assert bounded.stream == rows.stream
