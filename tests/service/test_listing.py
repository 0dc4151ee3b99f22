"""Alerts in a terminal: readable, and harmless whatever the log holds."""

from __future__ import annotations

import json
import time

import pytest

from offscript.interpret.explanation import Said, Similar
from offscript.protos import detector_pb2 as pb
from offscript.service.listing import as_json, one_line, seconds, similar_lines, suppression_line

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


def test_a_time_that_is_listed_means_the_same_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        moments = [seconds(text) for text in ("2026-03-02 12:00:00", "2026-03-02T07:00:00-05:00")]
    finally:
        monkeypatch.undo()
        time.tzset()

    assert moments == [ALERT.time_micros / 1e6] * 2


def test_a_line_names_the_model_that_has_a_name() -> None:
    named = pb.Alert()
    named.CopyFrom(ALERT)
    named.model_name = "web"
    quiet = pb.Suppression(id="0" * 32, model_name="web", active=True)

    assert "2.0×  web ev" in one_line(named)
    assert "everywhere of web;" in suppression_line(quiet)


def test_nothing_in_a_line_is_obeyed_by_a_terminal() -> None:
    assert one_line(ALERT).isprintable()
    assert json.loads(as_json(ALERT))["stream"] == ALERT.stream
    assert as_json(ALERT).isprintable()


def test_similar_alerts_are_counted_and_shown_with_their_reason_and_what_was_said() -> None:
    said = Said("normal", "a \x1b[1mdrill", "ann", 1.0)
    judged = Similar("a" * 32, "s\x07", 1.0, 1, "normal", (said,), ("x", "y\x07"), same=True)
    others = [
        Similar(f"{n}" * 32, "t", 1.0, 2, "open", (), ("x", "y\x07"), same=False) for n in range(6)
    ]

    lines = similar_lines([judged, *others])

    assert lines[0].endswith("(7)")
    assert lines[1].endswith("s· [normal]  ann: a ·[1mdrill")
    assert lines[2] == "    for the same reason"
    assert lines[3].endswith("t ×2")
    assert lines[4] == "    because of `x`, `y·`"
    assert lines[-1] == "  … and 2 more"
    assert all(line.isprintable() for line in lines)
    assert similar_lines([]) == []


def test_a_suppression_of_an_unseen_event_shows_its_line() -> None:
    quiet = pb.Suppression(detector="new", observed="<new>", expected="y", line="disk 7\x1b failed")

    assert "new: <new> like `disk 7· failed` instead of y, everywhere" in suppression_line(quiet)


def test_a_suppression_says_what_is_quiet_where_until_when_and_by_whom() -> None:
    suppression = pb.Suppression(
        id="b" * 32,
        detector="event",
        observed="x\x1b",
        expected="y",
        evidence=["p\x1b", "q"],
        stream="",
        by="ann",
        comment="drill",
        until_micros=1772452800_000_000,
        count=3,
        active=True,
    )
    everywhere = pb.Suppression(id="c" * 32, until_micros=1772452800_000_000)

    line, over = suppression_line(suppression), suppression_line(everywhere)

    assert line == (
        "bbbbbbbbbbbb  until 2026-03-02 12:00:00  event: x· instead of y because of `p·`, "
        "`q`, in ; kept 3 quiet  "
        "ann  drill"
    )
    assert "ended 2026-03-02 12:00:00" in over
    assert "everywhere" in over
