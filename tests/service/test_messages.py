"""What comes over the wire is checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from google.protobuf.message import Message

from offscript.model.errors import InputError
from offscript.protos import detector_pb2 as pb
from offscript.service.batch import Batch
from offscript.service.errors import FieldError
from offscript.service.messages import (
    parse,
    read_batch,
    read_filter,
    read_page,
    read_revision,
)
from offscript.service.verdicts import read_feedback


def read(message: pb.EventBatch) -> Batch:
    return read_batch(message, size=message.ByteSize(), received=1000.0)


def test_columns_become_rows() -> None:
    batch = read(
        pb.EventBatch(
            seq=7,
            client="me",
            streams=["a", "b"],
            stream_ix=[0, 1, 0],
            names=["x", "y"],
            name_ix=[1, 0, 0],
            base_time_micros=10_000_000,
            time_delta_micros=[0, 500_000, -1_000_000],
            started=[1],
            ended=[0, 0],
            want_scores=True,
        )
    )

    assert (batch.seq, batch.client, batch.want_scores) == (7, "me", True)
    assert list(batch.streams or ()) == ["a", "b", "a"]
    assert list(batch.names or ()) == ["y", "x", "x"]
    assert batch.times is not None
    assert batch.times.tolist() == [10.0, 10.5, 9.5]
    assert batch.started == {"b"}
    assert batch.ended == ("a",)


def test_an_empty_batch_is_fine() -> None:
    assert len(read(pb.EventBatch(seq=1))) == 0


def test_named_events_without_an_index_belong_to_the_first_stream() -> None:
    one = read(pb.EventBatch(streams=["a"], names=["x"], name_ix=[0, 0]))
    assert list(one.streams or ()) == ["a", "a"]
    assert read(pb.EventBatch(names=["x"], name_ix=[0])).streams is None


def test_without_deltas_all_events_happen_at_the_base() -> None:
    batch = read(pb.EventBatch(lines=["one", "two"], base_time_micros=5_000_000))

    assert batch.times is not None
    assert batch.times.tolist() == [5.0, 5.0]


def test_times_keep_their_microseconds() -> None:
    micros = 1_772_379_001_123_457
    batch = read(pb.EventBatch(lines=["one"], base_time_micros=micros, time_delta_micros=[1]))

    assert batch.times is not None
    assert np.round(batch.times * 1e6).astype(np.int64).tolist() == [micros + 1]


BAD = {
    "both kinds of rows": ("lines", pb.EventBatch(lines=["x"], names=["x"], name_ix=[0])),
    "few streams": ("stream_ix", pb.EventBatch(lines=["x"] * 2, streams=["a"], stream_ix=[0])),
    "streams without rows": ("stream_ix", pb.EventBatch(streams=["a"], stream_ix=[0])),
    "no such stream": ("stream_ix", pb.EventBatch(lines=["x"], streams=["a"], stream_ix=[1])),
    "no streams": ("stream_ix", pb.EventBatch(lines=["x"], stream_ix=[0])),
    "no such name": ("name_ix", pb.EventBatch(names=["x"], name_ix=[0, 1])),
    "no such start": ("started", pb.EventBatch(started=[0])),
    "no such end": ("ended", pb.EventBatch(streams=["a"], ended=[4_000_000_000])),
    "many lines": ("lines", pb.EventBatch(lines=[""] * 65_537)),
    "many events": ("name_ix", pb.EventBatch(names=["x"], name_ix=[0] * 65_537)),
    "few times": (
        "time_delta_micros",
        pb.EventBatch(lines=["x"] * 2, base_time_micros=1, time_delta_micros=[1]),
    ),
    "no base": ("base_time_micros", pb.EventBatch(lines=["x"], time_delta_micros=[1])),
    "a far time": ("time_delta_micros", pb.EventBatch(lines=["x"], base_time_micros=2**62)),
    "times that overflow": (
        "time_delta_micros",
        pb.EventBatch(lines=["x"] * 3, base_time_micros=1, time_delta_micros=[2**62] * 3),
    ),
    "a long line": ("lines", pb.EventBatch(lines=["x" * 65_537])),
    "a long name": ("names", pb.EventBatch(names=["x" * 65_537], name_ix=[0])),
    "a long stream": ("streams", pb.EventBatch(streams=["x" * 1025])),
    "a long client": ("client", pb.EventBatch(client="x" * 129)),
}


@pytest.mark.parametrize("case", BAD)
def test_a_batch_with_a_mistake_is_refused_by_field(case: str) -> None:
    field, message = BAD[case]

    with pytest.raises(FieldError) as caught:
        read(message)

    assert caught.value.field == field
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("kind", [pb.EventBatch, pb.ExplainRequest, pb.ListAlertsRequest])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"not a message"])
def test_bytes_that_are_no_message_are_bad_input(kind: type[Message], data: bytes) -> None:
    with pytest.raises(InputError, match="expected a offscript"):
        parse(kind, data)


def test_a_text_that_is_no_utf8_is_bad_input() -> None:
    with pytest.raises(InputError, match="expected a offscript"):
        parse(pb.EventBatch, b"\x12\x02\xff\xfe")


REFUSED: dict[str, Callable[[], object]] = {
    "an unknown detector": lambda: read_filter(pb.WatchAlertsRequest(detector="other")),
    "an unknown status": lambda: read_filter(
        pb.ListAlertsRequest(status=cast("pb.Status.ValueType", 9))
    ),
    "a large page": lambda: read_page(pb.ListAlertsRequest(page_size=1001)),
    "a made-up token": lambda: read_page(pb.ListAlertsRequest(page_token="x")),
    "a revision past all": lambda: read_revision(pb.WatchAlertsRequest(after_revision=1 << 63)),
    "no verdict": lambda: read_feedback(pb.FeedbackRequest(alert_id="a")),
    "a long name": lambda: read_feedback(
        pb.FeedbackRequest(verdict=pb.VERDICT_NORMAL, by="x" * 257)
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_with_a_mistake_is_refused(case: str) -> None:
    with pytest.raises(FieldError):
        REFUSED[case]()
