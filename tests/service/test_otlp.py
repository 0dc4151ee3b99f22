"""What a log record becomes: its stream, its event and its time."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from offscript.model.event import EventConfig
from offscript.service.batch import Batch
from offscript.service.otlp import LogReader, Logs
from offscript.tests.service.otlp_requests import NOON, attributes, record, request

TEXT = EventConfig(stream_key=r"session=(\w+)")
ENDLESS = EventConfig()
JSON = EventConfig(format="json", stream_key="session", message="message")


def read(
    records: list[LogRecord],
    *,
    events: EventConfig = ENDLESS,
    stream: tuple[str, ...] = (),
    resource: dict[str, str] | None = None,
) -> Logs:
    data = request(records, resource).SerializeToString()
    return LogReader({"": events}, stream).read(data, received=5.0)


def rows(batch: Batch) -> list[tuple[str, str]]:
    assert batch.names is not None
    assert batch.lines is not None
    return list(zip(batch.names, batch.lines, strict=True))


def reasons(logs: Logs) -> dict[str, int]:
    return {reason.text: count for reason, count in logs.rejected[""].items()}


def test_a_name_of_the_event_goes_before_the_template_and_that_before_the_body() -> None:
    logs = read(
        [
            record("a line", name="field", event_name="attribute", log_record_template="template"),
            record("a line", event_name="attribute", log_record_template="template"),
            record("a line", log_record_template="template"),
            record("a line"),
            record(name="field"),
        ]
    )

    assert rows(logs.batches[0]) == [
        ("field", "a line"),
        ("attribute", "a line"),
        ("template", "a line"),
        ("", "a line"),
        ("field", "field"),
    ]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("text", "text"),
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        (b"caf\xc3\xa9 \xff", "café \N{REPLACEMENT CHARACTER}"),
        (["a", 1, None], '["a", 1, null]'),
        ({"a": {"b": [1]}}, '{"a": {"b": [1]}}'),
    ],
)
def test_a_body_of_any_kind_is_a_line(body: Any, line: str) -> None:
    assert rows(read([record(body)]).batches[0]) == [("", line)]


@pytest.mark.parametrize("empty", [None, ""])
def test_a_record_that_says_nothing_is_rejected(empty: str | None) -> None:
    logs = read([record(empty), record("a line")])

    assert len(logs.batches[0]) == 1
    assert reasons(logs) == {"with neither a body nor an event name": 1}


def test_lines_names_and_keys_past_their_bounds_are_rejected_alone() -> None:
    logs = read(
        [
            record("x" * 65_536, id="a"),
            record("x" * 65_537, id="a"),
            record(name="x" * 65_537, id="a"),
            record("a line", id="x" * 1025),
        ],
        stream=("id",),
    )

    assert len(logs.batches[0]) == 1
    assert sum(reasons(logs).values()) == 3


def test_a_json_model_reads_maps_and_json_texts_as_they_are() -> None:
    logs = read(
        [record({"session": "a", "message": "hi"}), record(' {"session": "a"}')], events=JSON
    )

    assert rows(logs.batches[0]) == [
        ("", '{"session": "a", "message": "hi"}'),
        ("", ' {"session": "a"}'),
    ]


def test_a_json_model_reads_a_text_as_its_message_among_the_attributes() -> None:
    logs = read([record("hi", session="a", n=1), record("hi")], events=JSON)

    assert [json.loads(line) for _, line in rows(logs.batches[0])] == [
        {"session": "a", "n": 1, "message": "hi"},
        {"message": "hi"},
    ]


def test_a_model_of_ready_names_takes_a_body_for_one() -> None:
    logs = read([record("login"), record("x", name="logout")], events=EventConfig("sequences"))

    assert [name for name, _ in rows(logs.batches[0])] == ["login", "logout"]


def test_without_attributes_named_a_body_has_its_own_key() -> None:
    assert (
        read([record("session=a hi")], events=TEXT, resource={"host.name": "h"}).batches[0].streams
        is None
    )


def test_without_a_key_in_the_model_the_stream_is_who_speaks() -> None:
    everything = {"service.name": "shop", "host.name": "h1", "service.instance.id": "i1"}

    assert read([record("hi")], resource=everything).batches[0].streams == ["i1"]
    del everything["service.instance.id"]
    assert read([record("hi")], resource=everything).batches[0].streams == ["h1"]
    del everything["host.name"]
    assert read([record("hi")], resource=everything).batches[0].streams == ["shop"]
    assert read([record("hi")]).batches[0].streams == [""]


def test_a_record_has_the_clock_of_who_speaks_whatever_makes_its_stream() -> None:
    records = [record("session=a hi"), record("session=b hi", host_name="h2")]
    for events, stream in ((TEXT, ()), (ENDLESS, ()), (TEXT, ("service.name",))):
        resource = {"host.name": "h1", "service.name": "shop"}
        (batch,) = read(records, events=events, stream=stream, resource=resource).batches

        assert batch.sources == ["h1", "h2"]


def test_named_attributes_make_the_stream_the_nearest_first() -> None:
    whole = request([record("hi"), record("hi", id="record")], {"id": "resource", "n": 7})
    whole.resource_logs[0].scope_logs.add().log_records.append(record("hi"))
    whole.resource_logs[0].scope_logs[1].scope.attributes.extend(attributes({"id": "scope"}))
    logs = LogReader({"": TEXT}, ("id", "n")).read(whole.SerializeToString(), received=5.0)

    assert logs.batches[0].streams == ["resource|7", "record|7", "scope|7"]


@pytest.mark.parametrize("more", [{}, {"id": "a"}, {"id": "a", "n": ""}])
def test_a_record_without_one_of_the_named_attributes_is_rejected(more: dict[str, Any]) -> None:
    logs = read([record("hi", **more)], stream=("id", "n"))

    assert logs.batches == ()
    assert reasons(logs) == {"without id and n among the attributes, which make its stream": 1}


def test_records_come_in_the_order_of_time_and_equal_ones_as_they_were_sent() -> None:
    sent = [record("d", second=3), record("b", second=1), record("c", second=1), record("a")]
    logs = read(sent)

    assert [line for _, line in rows(logs.batches[0])] == ["a", "b", "c", "d"]
    assert logs.batches[0].times is not None
    assert logs.batches[0].times.tolist() == [NOON, NOON + 1, NOON + 1, NOON + 3]


def test_a_time_that_is_unset_is_when_the_record_was_observed_or_left_open() -> None:
    observed, unset = record("observed"), record("unset")
    observed.time_unix_nano = unset.time_unix_nano = 0
    observed.observed_time_unix_nano = 1_000_000_000
    logs = read([unset, observed])

    assert [line for _, line in rows(logs.batches[0])] == ["observed", "unset"]
    assert logs.batches[0].times is not None
    assert logs.batches[0].times[0] == 1.0
    assert math.isnan(logs.batches[0].times[1])
    assert logs.timed
    assert not read([unset]).timed


def test_an_empty_request_is_no_batch() -> None:
    logs = LogReader({"": TEXT}, ("id",)).read(b"", received=5.0)

    assert logs.batches == ()
    assert not logs.rejected
