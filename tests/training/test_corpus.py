"""Logs become streams in columns, ordered by their last event."""

from __future__ import annotations

import json

import numpy as np
import pytest

from offscript.model.errors import InputError, LogError
from offscript.model.event import EventConfig, EventParser
from offscript.model.templates import Templates
from offscript.training.corpus import (
    read_corpus,
    read_ids,
    read_labels,
    read_sequences,
    streams_of,
)

LINES = [
    "2026-03-01 12:00:00 s=a open",
    "2026-03-01 12:00:01 s=b open",
    "2026-03-01 12:00:02 s=a shut",
    "no key here",
    "2026-03-01 12:00:03 s=b work",
]


def test_interleaved_lines_become_streams_in_the_order_in_which_they_ended() -> None:
    parser = EventParser(
        EventConfig("text", stream_key=r"s=(\w)", time="iso@0"), Templates(("s=<*> open",))
    )

    corpus = read_corpus(LINES, parser)

    assert corpus.streams == ("a", "b")
    streams = {key: list(names) for key, names, _ in streams_of(corpus)}
    assert streams["a"] == ["s=<*> open", None]
    assert corpus.last_times()[1] - corpus.last_times()[0] == 1.0
    assert corpus.line.tolist() == [0, 2, 1, 4]
    assert corpus.continuations == 1


def test_selected_streams_keep_their_own_events() -> None:
    lines = [
        json.dumps({"id": key, "events": list(key * n)}) for n, key in enumerate("abcd", start=1)
    ]
    corpus = read_sequences(lines)

    some = corpus.select([3, 1])

    assert [(k, list(n)) for k, n, _ in streams_of(some)] == [("d", ["d"] * 4), ("b", ["b"] * 2)]


def test_sequences_carry_labels_splits_and_times() -> None:
    corpus = read_sequences(
        [
            '{"id": 1, "events": ["x", "y"], "label": 1, "split": "test", "t": [5, 6]}',
            '{"id": 2, "events": ["x"], "t": [1]}',
        ]
    )

    assert corpus.streams == ("2", "1")
    assert corpus.labels.tolist() == [-1, 1]
    assert corpus.splits == (None, "test")


def test_sequences_are_read_in_training_as_they_are_in_service() -> None:
    lines = [
        '{"id": [1, "a"], "events": [true, null, {"a": 1}, 5, ""], "t": [1.7e12, 2, 3, 4, 5]}',
        '{"id": "b", "events": ["x"], "t": ["2026-03-01T12:00:00Z"]}',
    ]

    corpus = read_sequences(lines)
    served = EventParser(EventConfig(format="sequences"), Templates(())).parse(lines)

    learned = {key: (list(names), times.tolist()) for key, names, times in streams_of(corpus)}
    for key in dict.fromkeys(served.stream):
        rows = [row for row, stream in enumerate(served.stream) if stream == key]
        assert learned[key] == ([served.name[row] for row in rows], served.time[rows].tolist())
    assert learned['[1, "a"]'][1][0] == 1.7e9


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "line 2: expected"),
        ('{"id": 1}', "line 2: expected"),
        ('{"id": 3, "events": ["a"], "t": []}', None),
        ('{"id": 3, "events": ["a"], "t": [1, 2]}', "line 2: .*expected 1 times in 't'"),
        ('{"id": 0, "events": ["a"]}', "came before; ids must differ"),
        ('{"id": 3, "events": ["a"], "label": "odd"}', "line 2: expected"),
        ('{"id": 3, "events": ["a"], "label": null}', "line 2: expected"),
        ('{"id": 3, "events": ["a"], "label": 10000000000}', "line 2: expected"),
        (f'{{"id": 3, "events": ["a"], "t": [{10**400}]}}', None),
        ('{"events": ["a"]}', "line 2: expected"),
        ("[" * 100_000, "line 2: expected"),
        ('["events"]', "line 2: expected"),
    ],
)
def test_a_broken_sequence_is_named_by_its_line(line: str, complaint: str | None) -> None:
    lines = ['{"id": 0, "events": ["a"]}', line]

    if complaint is None:
        assert len(read_sequences(lines)) == 2
    else:
        with pytest.raises(LogError, match=complaint):
            read_sequences(lines)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(LogError, match="empty"):
        read_sequences([])


def test_labels_are_read_from_csv_with_a_heading_and_from_json() -> None:
    assert read_labels(["BlockId,Label", "blk_1,Normal", "blk_2,Anomaly"]) == {
        "blk_1": 0,
        "blk_2": 1,
    }
    assert read_labels(['{"stream": "s1", "kind": "theft"}', '{"stream": "s2", "label": 0}']) == {
        "s1": 1,
        "s2": 0,
    }
    for line in ("b,maybe", '{"stream": ', '{"stream": 1, "label": "odd"}', '{"a":' * 100_000):
        with pytest.raises(InputError, match="line 2"):
            read_labels(["a,1", line])


def test_ids_are_the_first_column_or_the_stream_of_an_object() -> None:
    assert read_ids(["a", "b,whatever", '{"stream": "c"}', ""]) == {"a", "b", "c"}
    assert read_ids(['{"stream": "a", "alike": ["b"]}', '{"id": 1, "alike": 2}']) == {"a", "b", "1"}
    with pytest.raises(InputError, match="not a JSON object"):
        read_ids(['{"a":' * 100_000])


def test_times_out_of_order_do_not_split_a_stream() -> None:
    corpus = read_sequences(['{"id": 1, "events": ["a", "b"], "t": [9, 1]}'])

    np.testing.assert_array_equal(corpus.time, [9.0, 1.0])
