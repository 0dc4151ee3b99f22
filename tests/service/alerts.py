"""Alerts to store."""

from __future__ import annotations

from dataclasses import replace

from offscript.model.alert import Alert

ALERT = Alert(
    id="a1",
    model="m1",
    stream="s",
    detector="event",
    time=100.0,
    first_seen=100.0,
    last_seen=100.0,
    count=1,
    score=9.25,
    threshold=5.0,
    statistic=12.0,
    limit=7.0,
    joined=False,
    position=3,
    surprisal=12.0,
    entropy=0.5,
    observed="x",
    text="a line",
    expected="y",
    expected_probability=0.9,
    tokens=(0, 4, 5),
    times=(float("nan"), 99.0, 100.0),
    lines=(None, "before", "a line"),
)


def other(number: int, **changes: object) -> Alert:
    fields = {"id": f"a{number}", "stream": f"s{number}", **changes}
    return replace(ALERT, **fields)  # type: ignore[arg-type] # fields of the alert
