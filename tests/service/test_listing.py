"""Alerts in a terminal: readable, and harmless whatever the log holds."""

from __future__ import annotations

import json

from offscript.protos import detector_pb2 as pb
from offscript.service.listing import as_json, one_line

ALERT = pb.Alert(
    id="0123456789abcdef",
    detector="new",
    time_micros=1772452800_000_000,
    score=14.0,
    threshold=7.0,
    stream="ev\x1b[2Jil",
    text="hello \x1b]0;owned\x07\r\n world",
    count=3,
)


def test_a_line_says_when_what_where_and_how_often() -> None:
    line = one_line(ALERT)

    assert line.startswith("0123456789ab  2026-03-02 12:00:00  new     2.0×  ev")
    assert line.endswith("world ×3")


def test_nothing_in_a_line_is_obeyed_by_a_terminal() -> None:
    assert one_line(ALERT).isprintable()
    assert json.loads(as_json(ALERT))["stream"] == ALERT.stream
    assert as_json(ALERT).isprintable()
