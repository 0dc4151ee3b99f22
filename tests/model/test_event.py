"""Events: stream key, name and time of each line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offscript.model.errors import InputError
from offscript.model.event import EventConfig, EventParser, Parsed, field_value
from offscript.model.logs import read_lines
from offscript.model.templates import Templates

HDFS = EventConfig(stream_key=r"blk_-?\d+", time="hdfs@0")
RECEIVING = "081109 203615 148 INFO DataNode: Receiving block blk_-16 src: /10.0.0.1:50010"
DELETE = "081109 203616 35 INFO FSNamesystem: ask 10.0.0.1:50010 to delete blk_-16 blk_17 blk_-16"


def parsed(config: EventConfig, lines: list[str]) -> Parsed:
    """Events of lines whose templates are learned from the same lines."""
    texts = EventParser(config, Templates(())).texts(lines)
    return EventParser(config, Templates.learn(texts)).parse(lines)


def test_every_distinct_key_of_a_line_gets_the_event_once() -> None:
    events = parsed(HDFS, [RECEIVING, DELETE])

    assert events.line.tolist() == [0, 1, 1]
    assert events.stream == ["blk_-16", "blk_-16", "blk_17"]
    assert events.name[1] == events.name[2] == "<*> INFO FSNamesystem: ask <*> to delete <*>"
    assert events.time[1] - events.time[0] == 1.0


@pytest.mark.parametrize(
    ("key", "streams"),
    [
        (r"user=(\w+)", ["ann", "bob"]),
        (r"(?i)USER=\w+", ["user=ann", "user=bob"]),
        (r"user=(\w)(\w)", ["a", "b"]),
        (r"(zoe)|bob", ["bob"]),
    ],
)
def test_the_key_is_the_first_group_or_else_the_whole_match(key: str, streams: list[str]) -> None:
    events = parsed(EventConfig(stream_key=key), ["user=ann talks to user=bob"])

    assert events.stream == streams


def test_a_key_of_letters_does_not_make_a_template_of_its_own() -> None:
    config = EventConfig(stream_key=r"^(\w+) logs in")

    events = parsed(config, ["ann logs in", "bob logs in"])

    assert events.name == ["<*> logs in", "<*> logs in"]


def test_lines_without_a_key_are_passed_over_and_counted() -> None:
    events = parsed(HDFS, [RECEIVING, "081109 203617 1 INFO Server: started", RECEIVING])

    assert events.line.tolist() == [0, 2]
    assert events.unkeyed == 1


def test_a_line_without_the_stamp_continues_the_record_before() -> None:
    lines = ["2026-11-23 08:07:00 ERROR boom", "\tat Main.main(Main.java:5)", "", "Caused by: x"]

    events = parsed(EventConfig(time="iso@0"), lines)

    assert events.line.tolist() == [0]
    assert events.continuations == 3


def test_an_impossible_stamp_is_an_event_without_a_time() -> None:
    events = parsed(EventConfig(time="iso@0"), ["2026-13-45 08:07:00 ERROR boom"])

    assert math.isnan(events.time[0])
    assert events.name == ["ERROR boom"]


def test_without_a_key_there_is_one_endless_stream() -> None:
    events = parsed(EventConfig(), ["a", "b", "", "a"])

    assert events.stream == ["", "", ""]
    assert events.name == ["a", "b", "a"]
    assert np.isnan(events.time).all()


def test_an_unseen_template_has_no_name() -> None:
    parser = EventParser(EventConfig(), Templates.learn(["job 5 started"]))

    assert parser.parse(["job 6 started", "job 6 failed"]).name == ["job <*> started", None]


def test_masks_are_applied_before_templates() -> None:
    config = EventConfig(masks=((r"tenant-[a-z]+", "<*>"),))
    lines = [f"load tenant-{name}" for name in ("a", "b")]

    assert parsed(config, lines).name == ["load <*>", "load <*>"]


def test_parsing_in_pieces_is_parsing_as_a_whole() -> None:
    lines = [RECEIVING, DELETE] * 20
    templates = Templates.learn(EventParser(HDFS, Templates(())).texts(lines))

    whole = EventParser(HDFS, templates).parse(lines)
    parser = EventParser(HDFS, templates)
    pieces = [parser.parse(lines[i : i + 7]) for i in range(0, len(lines), 7)]

    assert [name for piece in pieces for name in piece.name] == whole.name
    assert [key for piece in pieces for key in piece.stream] == whole.stream
    assert np.concatenate([piece.time for piece in pieces]).tolist() == whole.time.tolist()


def test_no_lines_are_no_events() -> None:
    events = EventParser(HDFS, Templates(())).parse([])

    assert events.stream == events.name == []
    assert events.line.shape == events.time.shape == (0,)


def test_the_fields_of_json_make_the_event() -> None:
    config = EventConfig(
        format="json",
        stream_key="user.id",
        event=("source", "action"),
        time="time",
    )
    lines = [
        json.dumps(record)
        for record in (
            {"source": "s3", "action": "get", "user": {"id": 7}, "time": "2026-11-23T08:07:00Z"},
            {"source": "s3", "user": {"id": ["7", "8", "7"]}, "time": 1795421220000},
            {"source": "s3", "action": "put", "user": {}},
            {"user": {"id": "9"}},
            {"source.x": 1, "source": "é\ud800", "action": True, "user.id": "x"},
        )
    ]

    events = EventParser(config, Templates(())).parse(lines)

    assert events.line.tolist() == [0, 1, 1, 3, 4]
    assert events.stream == ["7", "7", "8", "9", "x"]
    assert events.name == ["s3|get", "s3|-", "s3|-", None, "é?|true"]
    assert events.time[:2].tolist() == [1795421220.0, 1795421220.0]
    assert np.isnan(events.time[3:]).all()
    assert events.unkeyed == 1


@pytest.mark.parametrize(
    ("record", "path", "value"),
    [
        ({"k": {"pod.name": "p"}}, "k.pod.name", "p"),
        ({"k": {"labels": {"a.io/b.c": "w"}}}, "k.labels.a.io/b.c", "w"),
        ({"a.b": {"c.d": 1}}, "a.b.c.d", 1),
        ({"a.b": {"c": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 1),
        ({"a.b": {"x": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 2),
        ({"a": {"b": 1}}, "a.b.c", None),
        ({"": {"": 1}}, ".", 1),
    ],
)
def test_keys_with_dots_are_reached_at_any_level_the_longest_first(
    record: dict[str, Any], path: str, value: int | str | None
) -> None:
    assert field_value(record, path) == value


def test_the_message_of_json_is_made_a_template() -> None:
    config = EventConfig(format="json", message="msg", time="ts")
    lines = [f'{{"msg": "job {i} done", "ts": {1_700_000_000 + i}}}' for i in range(3)]

    assert parsed(config, lines).name == ["job <*> done"] * 3


def test_broken_json_is_passed_over_counted_and_named() -> None:
    config = EventConfig(format="json", event=("e",))
    lines = ['{"e": "a"}', '{"e": ', "[1]", "", '{"e": "b"}', "[" * 100_000]

    events = EventParser(config, Templates(())).parse(lines)

    assert events.name == ["a", "b"]
    assert events.broken == 3
    assert events.first_broken.startswith("line 2: ")


def test_sequences_carry_ready_names() -> None:
    lines = [
        '{"id": "s1", "events": ["open", 5, "close"], "t": [1, 2, null]}',
        '{"id": 2, "events": []}',
        '{"id": 3, "events": ["open"], "t": []}',
        '{"events": ["open"]}',
    ]

    events = EventParser(EventConfig(format="sequences"), Templates(())).parse(lines)

    assert events.stream == ["s1", "s1", "s1", "3"]
    assert events.name == ["open", "5", "close", "open"]
    assert events.time[:2].tolist() == [1.0, 2.0]
    assert events.broken == 1


def test_a_broken_sequence_takes_no_row() -> None:
    deep = "[" * 900 + "]" * 900
    lines = [f'{{"id": {deep}, "events": ["a", "b"]}}', '{"id": 1, "events": ["c"]}']

    events = EventParser(EventConfig(format="sequences"), Templates(())).parse(lines)

    assert len(events.line) == len(events.stream) == len(events.name) == len(events.time)
    assert events.line.tolist()[-1] == 1
    assert events.name[-1] == "c"


def test_the_configuration_survives_being_saved() -> None:
    config = EventConfig("json", "user.id", ("a", "b"), "msg", "ts", ((r"x\d", "<*>"), ("y", "")))

    assert EventConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"format": "xml"}, "unknown format 'xml'"),
        ({"stream_key": "blk_("}, "stream key 'blk_\\(' is no regular expression"),
        ({"stream_key": r"sid=(\w"}, r"stream key 'sid=\(\\w' is no regular expression"),
        ({"stream_key": r"\d*"}, r"'\\d\*' also matches an empty text"),
        ({"masks": (("[", ""),)}, "mask '\\[' is no regular expression"),
        ({"masks": (("a", r"\5"),)}, r"mask's replacement '\\5': "),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    config: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        EventConfig(**config)


def test_odd_lines_do_no_harm() -> None:
    lines = [
        "\0",
        "\ud800",
        "x" * 1_000_000,
        "081109 203615 blk_1",
        "081109 203615 1 a\nb blk_2",
        "٣",
    ]

    for config in (HDFS, EventConfig(), EventConfig(time="iso@3"), EventConfig(stream_key="x+")):
        events = parsed(config, lines)
        assert None not in events.name


@pytest.mark.slow
def test_the_public_hdfs_log_gives_its_sessions(data: Path) -> None:
    lines = list(read_lines([data / "raw" / "hdfs_2pct.log.xz"]))

    events = parsed(HDFS, lines)

    assert len(lines) == 222_579
    assert (events.unkeyed, events.continuations) == (0, 0)
    assert len(set(events.stream)) == 11_501
    assert 20 <= len(set(events.name)) <= 40
    assert not np.isnan(events.time).any()
