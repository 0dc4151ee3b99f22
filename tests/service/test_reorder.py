"""Tests of what waits for events that were overtaken."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.errors import InputError
from offscript.service.batch import Batch, Rows
from offscript.service.config import ServiceConfig
from offscript.service.reorder import ReorderBuffer
from offscript.service.ticket import Part, PartOutcome, Ticket

Event = tuple[str, str, float]  # stream, name, time

RECEIVED = 1_000_000.0  # unix seconds, later than all times here
SECONDS = 2.0


def buffer(
    seconds: float = SECONDS, *, queue_events: int = 1 << 20, queue_bytes: int = 1 << 30
) -> ReorderBuffer:
    config = ServiceConfig(
        {"": Path()},
        reorder_seconds=seconds,
        queue_events=queue_events,
        queue_bytes=queue_bytes,
    )
    return ReorderBuffer(config)


def part(events: Sequence[Event], ended: tuple[str, ...] = (), *, seq: int = 0) -> Part:
    """What comes of a batch of events; the time `RECEIVED` is that of one without its own."""
    streams, names, times = zip(*events, strict=True) if events else ((), (), ())
    batch = Batch(
        client="one",
        seq=seq,
        streams=streams,
        names=names,
        lines=None,
        times=np.array(times),
        received=RECEIVED,
        ended=ended,
        want_scores=True,
        size=100 * len(events),
    )
    rows = Rows(streams, names, np.array(times, dtype=np.float64))
    (only,) = Ticket(batch, lambda _: None).split(rows, None, 1)
    return only


def given(waiting: ReorderBuffer, came: Sequence[Part], now: float) -> list[Event]:
    """What is due, in the order in which it is to be scored; it is answered, each with its time."""
    pieces, order = waiting.exchange(came, now)
    events: list[Event] = []
    for piece in pieces:
        rows = piece.rows
        events += zip(rows.stream, map(str, rows.name), rows.time.tolist(), strict=True)
        piece.ticket.scored()
        piece.ticket.done(piece, PartOutcome(rows.time.astype(np.float32)))
    return events if order is None else [events[at] for at in order.tolist()]


def names(events: Sequence[Event]) -> str:
    return "".join(name for _, name, _ in events)


def test_an_event_that_was_overtaken_is_scored_in_its_place() -> None:
    waiting = buffer()

    assert given(waiting, [part([("s", "b", 2.0)])], 0.0) == []
    assert given(waiting, [part([("s", "a", 1.0)])], 1.0) == []
    assert names(given(waiting, [], 1.9)) == ""
    assert names(given(waiting, [], 2.0)) == "ab"
    assert waiting.next == math.inf


def test_later_events_of_the_stream_and_those_of_other_streams_go_on_waiting() -> None:
    waiting = buffer()
    given(waiting, [part([("s", "b", 2.0)])], 0.0)
    given(waiting, [part([("s", "c", 3.0), ("s", "a", 1.0), ("other", "o", 0.5)])], 1.0)

    assert names(given(waiting, [], 2.0)) == "ab"
    assert waiting.next == 3.0
    assert names(given(waiting, [], 3.0)) == "oc"


def test_events_of_equal_time_stay_as_they_came() -> None:
    waiting = buffer()
    came = [part([("s", name, 1.0)]) for name in "acb"]

    assert names(given(waiting, came, 0.0)) == ""
    assert names(given(waiting, [], SECONDS)) == "acb"


def test_an_event_without_a_time_of_its_own_waits_for_nothing_and_none_before_it_does() -> None:
    waiting = buffer()
    given(waiting, [part([("s", "b", 2.0), ("other", "o", 2.0)])], 0.0)

    assert names(given(waiting, [part([("s", "x", RECEIVED), ("s", "a", 1.0)])], 1.0)) == "abx"


def test_batches_with_a_number_come_in_order_and_are_left_so() -> None:
    waiting = buffer()
    given(waiting, [part([("s", "a", 5.0), ("other", "o", 1.0)])], 0.0)

    assert names(given(waiting, [part([("s", "c", 3.0), ("s", "b", 2.0)], seq=1)], 1.0)) == "acb"


def test_the_end_of_a_stream_comes_after_all_of_it_that_waits() -> None:
    waiting = buffer()
    waiting.exchange([part([("s", "b", 2.0), ("other", "o", 1.0), ("third", "t", 1.5)])], 0.0)
    pieces, order = waiting.exchange([part([("s", "c", 1.0)], ("s", "other"))], 1.0)

    assert [list(piece.rows.name) for piece in pieces] == [["b", "o"], ["c"]]
    assert [piece.ended for piece in pieces] == [(), ("s", "other")]
    assert order is not None
    assert order.tolist() == [1, 0, 2]


def test_a_stream_that_begins_again_is_not_taken_for_the_one_that_ended() -> None:
    waiting = buffer()
    first, _ = waiting.exchange([part([("s", "a", 1.0), ("s", "b", 2.0)], ("s",))], 0.0)
    waiting.exchange([part([("s", "a", 3.0)])], 0.5)

    assert [(list(piece.rows.name), piece.ended) for piece in first] == [(["a", "b"], ("s",))]
    assert len(waiting) == 1


def test_numbered_batches_keep_their_order_though_the_wall_clock_steps_back() -> None:
    came = [part([("s", "a", 5.0)], seq=1), part([("s", "b", 4.0)], seq=2)]
    early = replace(came[1].ticket.batch, received=RECEIVED - 0.5)
    (came[1],) = Ticket(early, lambda _: None).split(came[1].rows, None, 1)

    assert names(given(buffer(), came, 0.0)) == "ab"


def test_a_batch_is_answered_when_the_last_of_it_is_scored_with_each_row_s_own_score() -> None:
    waiting = buffer()
    slow = part([("s", "d", 4.0), ("t", "a", 1.0), ("s", "b", 2.0)])
    future = slow.ticket.future
    given(waiting, [part([("s", "c", 3.0)])], 0.0)
    given(waiting, [slow], 1.0)

    assert names(given(waiting, [], 2.0)) == "bc"
    assert not future.done()
    assert names(given(waiting, [], 3.0)) == "ad"
    surprisal = future.result(0).surprisal
    assert surprisal is not None
    assert surprisal.tolist() == [4.0, 1.0, 2.0]


def test_a_batch_without_anything_is_answered_at_once() -> None:
    waiting, empty = buffer(), part([])
    given(waiting, [empty], 0.0)

    assert empty.ticket.future.result(0).events == 0


def test_past_half_of_what_may_be_accepted_the_first_are_due() -> None:
    of_events, of_bytes = buffer(queue_events=6), buffer(queue_bytes=600)
    for waiting in (of_events, of_bytes):
        assert given(waiting, [part([("s", "b", 2.0), ("t", "x", 2.0)])], 0.0) == []
        assert given(waiting, [part([("s", "c", 3.0)])], 1.0) == []

        assert names(given(waiting, [part([("s", "a", 1.0)])], 1.0)) == "abx"
        assert names(given(waiting, [], math.inf)) == "c"
        assert given(waiting, [part([("s", "d", 4.0)])], 5.0) == []


def test_streams_of_which_nothing_waits_are_let_go() -> None:
    waiting = buffer()
    given(waiting, [part([("s", "b", 2.0)])], 0.0)
    for at in range(20):
        many = [(f"{at}.{n}", "x", RECEIVED) for n in range(200)]
        assert len(given(waiting, [part(many)], 0.0)) == 200
    given(waiting, [part([("t", "c", 3.0), ("s", "a", 1.0)])], 1.0)

    assert len(waiting._streams) < 2000
    assert names(given(waiting, [], 2.0)) == "ab"
    assert names(given(waiting, [], 3.0)) == "c"


def test_without_seconds_nothing_waits() -> None:
    came = [part([("s", "b", 2.0)]), part([("s", "a", 1.0)])]

    assert buffer(0.0).exchange(came, 0.0) == (came, None)


def test_more_than_a_minute_is_refused() -> None:
    for seconds in (61.0, -1.0, math.nan):
        with pytest.raises(InputError, match="expected 0 to 60 seconds for --reorder, got"):
            buffer(seconds)


@pytest.mark.parametrize("seed", range(3))
def test_each_event_comes_out_once_and_before_those_that_are_due_later_and_not_earlier(
    seed: int,
) -> None:
    """By the rule itself, event by event: one is given out with the first of its stream that is due
    and not earlier.
    """
    rng = random.Random(seed)
    waiting = buffer()
    due: dict[str, tuple[str, float, float, int]] = {}  # name → stream, time, due, arrival
    left: dict[str, tuple[str, float, float, int]] = {}
    tickets = []
    now = 0.0
    for step in range(100):
        now += rng.expovariate(4.0)
        came = []
        for _ in range(rng.randrange(3)):
            events = []
            for _ in range(rng.randrange(12)):
                stream = rng.choice(["s", "t", f"{rng.randrange(100)}"])
                moment = RECEIVED if rng.random() < 0.05 else float(rng.randrange(int(now) + 2))
                name = f"{step}.{len(due)}"
                wait = 0.0 if moment == RECEIVED else SECONDS
                due[name] = left[name] = (stream, moment, now + wait, len(due))
                events.append((stream, name, moment))
            came.append(part(events))
            tickets.append(came[-1].ticket)
        until: defaultdict[str, float] = defaultdict(lambda: -math.inf)
        for stream, moment, moment_due, _ in left.values():
            if moment_due <= now:
                until[stream] = max(until[stream], moment)
        expected = {
            name for name, (stream, moment, _, _) in left.items() if moment <= until[stream]
        }
        out = [name for _, name, _ in given(waiting, came, now)]

        assert sorted(out) == sorted(expected)
        assert sorted(out, key=lambda name: (left[name][1], left[name][3])) == out
        for name in out:
            del left[name]
    assert sorted(name for _, name, _ in given(waiting, [], math.inf)) == sorted(left)
    assert all(ticket.future.result(0).events == len(ticket.batch) for ticket in tickets)
