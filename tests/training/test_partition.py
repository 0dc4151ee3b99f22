"""What streams open with, and when they end, is read from the streams that train."""

from __future__ import annotations

import json

import numpy as np
import pytest

from offscript.model.config import StreamConfig
from offscript.model.errors import InputError
from offscript.training.corpus import Corpus, read_sequences
from offscript.training.held_out import units_of
from offscript.training.partition import (
    block_seconds,
    endless_parts,
    judged,
    partition,
    stream_config,
)


def corpus(*, again: float, timed: bool = True) -> Corpus:
    """40 streams a minute apart that open with `hello` or `open`, which comes `again` later too."""
    lines = []
    for number in range(40):
        start = 60.0 * number
        times = [start, start + 1.0, start + 1.0 + again, start + 2.0 + again]
        events = ["hello", "work", "work", "bye"] if number % 2 else ["open", "work", "open", "bye"]
        stream = {"id": str(number), "events": events}
        lines.append(json.dumps({**stream, "t": times} if timed else stream))
    return read_sequences(lines)


def learned(some: Corpus) -> StreamConfig:
    return stream_config(some, np.arange(len(some)), idle_seconds=None)


def test_an_opening_is_told_with_the_silence_before_one_that_comes_later_in_a_stream() -> None:
    config = learned(corpus(again=7.0))

    assert config.openings == {"hello": 0.0, "open": 7.0}
    assert config.idle_seconds == pytest.approx(1.5 * 7.0)


def test_a_silence_shorter_than_a_second_is_taken_for_one() -> None:
    assert learned(corpus(again=0.0)).openings == {"hello": 0.0, "open": 1.0}


def test_without_times_only_what_never_comes_later_surely_opens_a_stream() -> None:
    assert learned(corpus(again=7.0, timed=False)).openings == {"hello": 0.0, "open": None}


def test_a_stream_that_may_have_begun_before_the_recording_is_not_taken_for_whole() -> None:
    some = corpus(again=7.0)

    streams = judged(some, learned(some), complete=False)

    assert [stream.names[0] for stream in streams if not stream.started] == ["open"]
    assert not streams[0].started
    assert all(stream.started for stream in judged(some, learned(some), complete=True))


def test_an_event_without_a_time_at_the_end_of_an_endless_log_changes_no_block() -> None:
    def log(last: float | None) -> Corpus:
        times = [*map(float, range(1999)), last]
        return read_sequences([json.dumps({"id": "host", "events": ["beat"] * 2000, "t": times})])

    dated, undated = (endless_parts(log(last)) for last in (1999.0, None))

    seconds = block_seconds(undated[1])
    blocks = StreamConfig(endless=True, idle_seconds=0.0, block_seconds=seconds)
    assert seconds == block_seconds(dated[1])
    assert len(units_of(undated[1], blocks)) == len(units_of(dated[1], blocks))
    assert [len(stream.names) for part in undated for stream in part] == [1399, 601]


def test_an_endless_log_that_holds_out_less_than_a_block_is_told_how_much_it_needs() -> None:
    def log(times: list[float]) -> Corpus:
        events = ["beat"] * len(times)
        return read_sequences([json.dumps({"id": "host", "events": events, "t": times})])

    for times in ([*map(float, range(10))], [1.0] * 100):
        with pytest.raises(InputError, match="log is too short.* at least 67 events"):
            endless_parts(log(times))
    assert all(endless_parts(log([*map(float, range(67))])))


def test_one_stream_is_one_stream() -> None:
    one = read_sequences([json.dumps({"id": "host", "events": ["beat"]})])

    with pytest.raises(InputError, match="^1 stream is too few"):
        partition(one, None, newest=False)
