"""Alerts to store."""

from __future__ import annotations

from dataclasses import replace

from offscript.model.alert import Alert
from offscript.model.vocabulary import END, NEW

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


def of_unknown(number: int) -> list[Alert]:
    """What four detectors say of a stream with one unknown event, each by what came before it."""
    ids, stream, expected = (f"{number}{name}" for name in "ndsc"), f"s{number}", f"e{number % 3}"
    seen: list[dict[str, object]] = [
        {"detector": "new", "observed": "<new>", "tokens": (0, 4, NEW), "text": "disk 7 failed"},
        {"detector": "drift", "observed": "x", "tokens": (4, NEW, 5), "span": 2},
        {"detector": "stream", "observed": "<end>", "tokens": (4, NEW, END), "span": 3},
        {
            "detector": "counts",
            "observed": "<end>",
            "tokens": (4, 5, END),
            "counts": {4: 9, NEW: 1},
        },
    ]
    return [
        other(number, id=id_, stream=stream, expected=expected, **changes)
        for id_, changes in zip(ids, seen, strict=True)
    ]
