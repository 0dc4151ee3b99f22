"""Discovery: what the user left out is found, or asked for in one clear line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from offscript.model.errors import InputError, LogError
from offscript.model.event import EventConfig
from offscript.model.logs import read_lines
from offscript.training.propose import discover, explain_no_match, propose_stream_key


def sessions(form: str, count: int = 60) -> list[str]:
    """Interleaved sessions of five events each, lines written by `form`."""
    choose = random.Random(2)
    waiting = [i for i in range(count) for _ in range(5)]
    steps: dict[int, int] = {}
    lines = []
    choose.shuffle(waiting)
    for second, i in enumerate(waiting):
        step = steps[i] = steps.get(i, 0) + 1
        clock = f"2026-11-23 {8 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        word = ("login", "list", "open", "save", "logout")[step - 1]
        lines.append(f"{clock} INFO " + form.format(id=7919 * (i + 3), step=word))
    return lines


@pytest.mark.parametrize(
    ("form", "key"),
    [
        ("{step} by sess_{id}", r"sess_-?\d+"),
        ("session={id} {step}", r'\bsession="?([^\s,;"]+)'),
        ("app[{id}]: {step}", r"\[(\d+)\]"),
        ("request {id} {step}", r"\brequest (\d+)\b"),
    ],
)
def test_the_key_of_the_sessions_is_proposed(form: str, key: str) -> None:
    lines = sessions(form)

    best = propose_stream_key(lines, discover(lines))[0]

    assert best.key == key
    assert (best.streams, best.events_per_stream, best.coverage) == (60, 5.0, 1.0)
    assert best.key in str(best)


def test_a_log_without_repeated_values_has_no_key_to_propose() -> None:
    lines = [f"tick {i}" for i in range(100)]

    assert propose_stream_key(lines, discover(lines)) == []


def test_a_field_of_json_is_proposed() -> None:
    records = [{"action": "a", "user": {"name": f"u{i % 9}"}, "n": i} for i in range(90)]
    lines = [json.dumps(record) for record in records]
    config = discover(lines)

    assert config == EventConfig(format="json", event=("action",))
    assert propose_stream_key(lines, config)[0].key == "user.name"


def test_a_field_whose_names_have_dots_is_proposed() -> None:
    lines = [
        json.dumps({"action": "a", "k": {"labels": {"job.id": f"j{i % 9}", "x.io/n": "w"}}})
        for i in range(90)
    ]

    assert propose_stream_key(lines, discover(lines))[0].key == "k.labels.job.id"


def test_what_is_given_is_kept() -> None:
    lines = sessions("{step} by sess_{id}")

    config = discover(lines, stream_key=r"sess_\d+", time="clock@1", masks=[("by", "of")])

    assert config == EventConfig(
        stream_key=r"sess_\d+", time="clock@1", masks=(("by", "of"),), format="text"
    )


def test_the_time_stamp_is_found_in_text_and_in_json() -> None:
    assert discover(sessions("{step} {id}")).time == "iso@0"
    lines = ['{"event": "x", "when": {"datetime": "2026-11-23T08:07:00Z"}}'] * 3
    assert discover(lines).time == "when.datetime"


def test_a_text_in_json_is_a_message_not_an_event() -> None:
    lines = [json.dumps({"level": "info", "msg": f"job {i} done"}) for i in range(50)]

    assert discover(lines) == EventConfig(format="json", message="msg")


def test_sequences_need_nothing() -> None:
    lines = ['{"id": 1, "events": ["a"]}'] * 3

    assert discover(lines, stream_key="x") == EventConfig(format="sequences")
    assert propose_stream_key(lines, EventConfig(format="sequences")) == []


@pytest.mark.parametrize(
    ("lines", "given", "complaint"),
    [
        ([], {}, "no lines that are not blank"),
        (["", "  "], {}, "no lines that are not blank"),
        (["plain text"], {"event": ("action",)}, "name fields of JSON, but the log is plain text"),
        (["plain text"], {"stream_key": "("}, "is no regular expression"),
        (["plain text"], {"time": "noon"}, "unknown time stamp 'noon'"),
        (['{"a": 1}'], {}, "no field of the JSON records looks like an event's name"),
        (['{"a": 1}'], {"event": ("b.c",)}, "no record has the field 'b.c'; fields are a"),
        (["__CURSOR=s=1", "__REALTIME_TIMESTAMP=1", "MESSAGE=up"], {}, "journalctl -o json"),
        (["{a", "{b", '{"event": 1}'], {"format": "json"}, "2 of 3 lines are no JSON objects"),
    ],
)
def test_what_cannot_be_found_is_asked_for_in_one_line(
    lines: list[str], given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((InputError, LogError), match=complaint) as error:
        discover(lines, **given)

    assert "\n" not in str(error.value)


def test_a_key_that_never_matches_is_explained_with_lines_and_candidates() -> None:
    lines = sessions("{step} by sess_{id}")

    message = explain_no_match(r"blk_\d+", lines, discover(lines))

    assert r"'blk_\d+' (pattern) is in none of the lines" in message
    assert lines[0] in message
    assert lines[1] in message
    assert r"candidates are sess_-?\d+" in message
    assert "\n" not in message
    ticks = ["tick 1", "tick 2"]
    assert "leave out --stream-key" in explain_no_match("x", ticks, discover(ticks))


def test_the_keys_of_public_logs_are_proposed(data: Path) -> None:
    expected = {
        "hdfs_2pct.log.xz": r"blk_-?\d+",
        "cloudtrail_stratus.jsonl.xz": "sourceIPAddress",
    }
    for name, key in expected.items():
        lines = [
            line for line, _ in zip(read_lines([data / "raw" / name]), range(1000), strict=False)
        ]

        assert propose_stream_key(lines, discover(lines))[0].key == key


def test_public_audit_events_are_read_by_their_names(data: Path) -> None:
    lines = list(read_lines([data / "raw" / "cloudtrail_stratus.jsonl.xz"]))

    config = discover(lines)

    assert config == EventConfig(format="json", event=("eventName",), time="eventTime")
