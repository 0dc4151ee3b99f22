"""What a client has to send gathers into batches, and stays until it is acknowledged."""

from __future__ import annotations

from offscript.service.outbox import Outbox


def test_events_gather_into_batches_of_one_kind() -> None:
    outbox = Outbox("me", window=8)
    outbox.add(stream="a", name="x", time_micros=1_000)
    outbox.add(stream="b", name="x", time_micros=1_500)
    outbox.add(stream="a", name="y", time_micros=900, started=True)
    outbox.add(stream=None, line="raw")
    connection = outbox.connect()
    named = outbox.next(connection, 0.0)
    raw = outbox.next(connection, 1.0)

    assert named is not None
    assert (named.seq, named.client) == (1, "me")
    assert list(named.streams) == ["a", "b"]
    assert list(named.stream_ix) == [0, 1, 0]
    assert list(named.names) == ["x", "y"]
    assert list(named.name_ix) == [0, 0, 1]
    assert named.base_time_micros == 1000
    assert list(named.time_delta_micros) == [0, 500, -600]
    assert list(named.started) == [0]
    assert raw is not None
    assert (raw.seq, list(raw.lines)) == (2, ["raw"])


def test_a_stream_that_begins_again_after_its_end_does_so_in_the_next_batch() -> None:
    outbox = Outbox("me", window=8)
    outbox.add(stream="a", name="x")
    outbox.end("a")
    outbox.add(stream="a", name="x")
    connection = outbox.connect()

    first, second = outbox.next(connection, 1.0), outbox.next(connection, 1.0)

    assert first is not None
    assert second is not None
    assert (list(first.name_ix), list(first.ended)) == ([0], [0])
    assert (list(second.name_ix), list(second.ended)) == ([0], [])


def test_what_is_not_acknowledged_is_sent_again_on_the_next_connection() -> None:
    outbox = Outbox("me", window=8)
    for n in range(3):
        outbox.add(stream=None, line=str(n))
        outbox.complete()
    first = outbox.connect()
    sent = [outbox.next(first, 0.0) for _ in range(3)]
    outbox.acknowledge(1)
    second = outbox.connect()

    assert [batch and batch.seq for batch in sent] == [1, 2, 3]
    assert outbox.next(first, 1.0) is None  # an old connection gets nothing more
    again = [outbox.next(second, 0.0) for _ in range(3)]
    assert [batch and batch.seq for batch in again] == [2, 3, None]
