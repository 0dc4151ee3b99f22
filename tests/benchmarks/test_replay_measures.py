"""What is counted of a replay, on alerts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.benchmarks.replay_events import Events, Raised, first_wrong
from offscript.benchmarks.replay_measures import Heard, added, difference, incidents, measures


def alert(
    stream: str,
    *,
    position: int = 1,
    time: float = 0.0,
    detector: str = "event",
    observed: str = "b",
    expected: str = "a",
    count: int = 1,
    unknown: bool = False,
) -> Raised:
    return Raised(stream, detector, observed, expected, time, position, count, unknown)


def of(*streams: str) -> Events:
    """One event a second; the streams are the sessions."""
    n = len(streams)
    times = np.arange(n, dtype=np.float64)
    return Events(list(streams), ["e"] * n, times, np.arange(n), list(streams))


def test_alerts_of_many_streams_with_the_same_mechanism_are_one_incident() -> None:
    alerts = [alert(f"s{n}", time=float(n)) for n in range(50)]

    assert [len(group) for group in incidents(alerts)] == [50]


def test_another_detector_expectation_or_observation_is_another_incident() -> None:
    alerts = [
        alert("s1"),
        alert("s2", detector="drift"),
        alert("s3", expected="c"),
        alert("s4", observed="d"),
    ]

    assert [len(group) for group in incidents(alerts)] == [1, 1, 1, 1]


def test_what_an_unknown_event_explains_is_one_incident_whichever_the_detector() -> None:
    alerts = [
        alert("s1", detector="new", observed="<new>", unknown=True),
        alert("s1", detector="drift", unknown=True),
        alert("s2", detector="new", observed="<new>", expected="c", unknown=True),
        alert("s3", detector="drift"),
    ]

    assert [[one.stream for one in group] for group in incidents(alerts)] == [
        ["s1", "s1", "s2"],
        ["s3"],
    ]


def test_an_incident_goes_on_until_its_mechanism_was_silent_for_ten_minutes() -> None:
    times = [0.0, 599.0, 1199.0, 1800.0]
    alerts = [alert(f"s{n}", time=time) for n, time in enumerate(times)]

    assert [[one.time for one in group] for group in incidents(alerts)] == [times[:3], times[3:]]


def test_incidents_do_not_depend_on_the_order_in_which_alerts_are_listed() -> None:
    alerts = [alert(f"s{n}", time=400.0 * n) for n in range(5)]

    assert [len(group) for group in incidents(alerts[::-1])] == [5]


def test_the_first_wrong_event_is_the_first_of_the_session_from_the_wrong_line_on() -> None:
    events = of("a", "b", "a", "b", "a")

    assert first_wrong(events, {"a": 2, "b": None, "absent": None}) == {"a": 2, "b": 1}


def test_a_delay_counts_the_sessions_own_events_from_the_first_wrong_one() -> None:
    events = of("a", "b", "a", "b", "b", "a", "a")
    heard = Heard(raised := [alert("a", position=3, time=5.0)], raised)

    found = measures(events, {"a": 2}, heard, rate=0.5)

    assert found["caught"] == (1.0, 1)
    assert found["delay_events_p50"] == (1.0, 1)
    assert found["delay_seconds_p50"] == (3.0, 1)
    assert found["false_alert_ratio"] == (0.0, 1)


def test_an_alert_before_the_first_wrong_event_catches_nothing_and_is_false() -> None:
    events = of("a", "b", "a", "b")
    heard = Heard(raised := [alert("a", position=1, time=0.0)], raised)

    found = measures(events, {"a": 2}, heard, rate=0.5)

    assert found["caught"] == (0.0, 1)
    assert found["false_alerts_per_day"] == (86_400 / 3, 1)
    assert found["false_alert_ratio"] == (0.0, 1)  # that is of normal streams


def test_the_ratio_counts_alerting_normal_streams_not_their_alerts() -> None:
    events = of("a", "b", "c", "d", "a", "b")
    raised = [alert("b", position=1, time=1.0), alert("b", position=2, time=5.0, observed="x")]

    found = measures(events, {"a": 0}, Heard(raised, raised), rate=0.1)

    ratio, normal = found["false_alert_ratio"]
    assert ratio == pytest.approx(1 / 0.3)
    assert normal == 3


def test_what_only_an_end_after_the_recording_caught_is_told_apart() -> None:
    events = of("a", "b", "a", "b", "c")
    raised = [alert("a", position=2, time=60.0), alert("b", position=2, time=3.0)]

    found = measures(events, {"a": 0, "b": 1}, Heard(raised, raised), rate=0.1)

    assert found["caught"] == (1.0, 2)
    assert found["caught_in_recording"] == (0.5, 2)


def test_in_an_endless_stream_an_alert_is_right_if_its_own_line_is_of_a_wrong_session() -> None:
    events = of("a", "b", "a", "b")
    one_stream = Events([""] * 4, events.name, events.time, events.sent, events.owner)
    raised = [alert("", position=3, time=2.0), alert("", position=4, time=3.0, observed="x")]

    found = measures(one_stream, {"a": 2}, Heard(raised, raised), rate=0.25, block_seconds=1.0)

    assert found["caught"] == (1.0, 1)
    assert found["false_alerts_per_day"][1] == 1
    assert found["false_alert_ratio"] == (1.0, 4)  # one of four blocks, one budgeted


def test_a_deploys_alerts_are_those_of_causes_that_were_not_there_before() -> None:
    before = [alert("s1"), alert("s2")]
    after = [alert("s1", time=3.0), alert("s2", observed="x"), alert("s3")]

    assert added(before, after) == after[1:]


def test_two_replays_differ_by_what_only_one_of_them_listed() -> None:
    one = [alert("s1"), alert("s2"), alert("s3")]
    other = [alert("s3"), alert("s2", count=2), alert("s1")]

    assert difference(one, one[::-1]) == 0
    assert difference(one, other) == 2
