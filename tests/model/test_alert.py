"""What makes two alerts mean the same, and that an alert survives as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from offscript.model.alert import Alert
from offscript.model.vocabulary import NEW as UNSEEN

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
NEW = replace(
    ALERT, detector="new", observed="<new>", tokens=(0, 4, UNSEEN), text="12:01 [s] disk 7 failed"
)
WHOLE = replace(ALERT, detector="stream", observed="<end>", kinds=("open", "shut"))


@pytest.mark.parametrize(
    ("alert", "changes"),
    [
        (ALERT, {"stream": "t", "time": 5.0, "score": 1.0, "text": "another line"}),
        (NEW, {"stream": "tt", "text": "13:44 [tt] disk 12 failed"}),
        (WHOLE, {"stream": "t", "text": "another line", "tokens": (4, 5, 0)}),
    ],
)
def test_alerts_of_other_streams_can_mean_the_same(
    alert: Alert, changes: dict[str, object]
) -> None:
    assert replace(alert, **changes).mechanism == alert.mechanism  # type: ignore[arg-type] # fields of it


@pytest.mark.parametrize(
    ("alert", "changes"),
    [
        (ALERT, {"detector": "end"}),
        (ALERT, {"observed": "z"}),
        (ALERT, {"expected": "z"}),
        (NEW, {"text": "12:01 [s] disk 7 stolen"}),
        (WHOLE, {"kinds": ("open", "read", "shut")}),
    ],
)
def test_what_happened_otherwise_means_something_else(
    alert: Alert, changes: dict[str, object]
) -> None:
    assert replace(alert, **changes).mechanism != alert.mechanism  # type: ignore[arg-type] # fields of it


@pytest.mark.parametrize(
    "alert",
    [
        NEW,
        replace(NEW, detector="event"),
        replace(ALERT, detector="drift", tokens=(4, UNSEEN, 5), span=2),
        replace(WHOLE, tokens=(UNSEEN, 4, 2), span=9),
        replace(WHOLE, detector="counts", counts={4: 2, UNSEEN: 1}),
    ],
)
def test_an_unknown_event_explains_what_it_made_fire(alert: Alert) -> None:
    assert alert.unknown


@pytest.mark.parametrize(
    "alert",
    [
        ALERT,
        replace(ALERT, tokens=(4, UNSEEN, 5)),
        replace(ALERT, detector="end", observed="<end>", tokens=(4, UNSEEN, 2)),
        replace(ALERT, detector="drift", tokens=(UNSEEN, 4, 5), span=2),
        replace(WHOLE, detector="counts", tokens=(4, UNSEEN, 2), counts={4: 2}),
    ],
)
def test_an_unknown_event_before_what_made_an_alert_fire_explains_nothing(alert: Alert) -> None:
    assert not alert.unknown


@pytest.mark.parametrize("alert", [ALERT, NEW, WHOLE])
def test_an_alert_survives_as_json(alert: Alert) -> None:
    again = Alert.from_json(json.loads(json.dumps(alert.to_json())))

    assert repr(again) == repr(alert)  # nan is not equal to itself
    assert again.mechanism == alert.mechanism
