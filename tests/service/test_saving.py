"""Tests of a shard's state on its way to the store."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa

from offscript.service import tables
from offscript.service.arrays import Arrays, Saved
from offscript.service.writer import Entry
from offscript.tests.service.engines import Service, raw
from offscript.tests.service.receivers import until

Lines = Callable[..., list[str]]


def test_a_service_killed_between_two_pieces_of_its_state_goes_on_from_either(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored piece by piece may hold a stream twice, or not yet; both must be taken up."""
    monkeypatch.setattr("offscript.model.streams.PART", 4)
    first = service.engine(checkpoint_seconds=0.0, max_streams=8)
    states = []
    for n in range(40):
        first.submit(raw(session(f"{n:04x}")[:3], client="me", seq=n + 1)).result(30)
        states.append(service.store.state("", 0))
    first.stop()

    for state in states[::5]:
        if not state:
            continue
        service.store.write([], [("", 0, Saved("one", state))])
        second = service.engine(max_streams=8)
        for n in range(40, 60):
            second.submit(raw(session(f"{n:04x}")[:3])).result(30)
        second.stop()
    assert any(state for state in states)
    assert service.alerts() == []


def test_a_late_event_that_was_saved_before_its_client_is_not_counted_twice(
    service: Service, session: Lines
) -> None:
    engine = service.engine(checkpoint_seconds=0.0)
    begin = 1772452800.0

    def send(key: str, after: float, seq: int) -> None:
        times = np.full(1, begin + after)
        batch = raw(session(key)[:1], client="me", seq=seq, times=times)
        assert not engine.submit(batch).result(30).repeated

    def saved(seq: int) -> Arrays:
        def state() -> Arrays:
            found = service.store.state("", 0)
            return found if list(found.get("seqs", ())) == [seq] else {}

        return until(state)

    send("0a", 0.0, 1)
    send("0b", 0.0, 2)
    send("0c", 100.0, 3)
    before = saved(3)
    send("0a", 10.0, 4)  # 90 s before what the client said last
    after = saved(4)
    engine.stop()
    # Killed when the streams were stored and what says how far the client came was not.
    own = ("owner", "clients", "seqs", "clocks", "clock_times", "clock_numbers", "clock")
    mixed = {**after, **{name: before[name] for name in own}}
    service.store.write([], [("", 0, Saved("one", mixed))])

    engine = service.engine()
    send("0a", 10.0, 4)
    shard, sha256 = engine.of()._shards[0], service.model.sha256
    assert shard.recent("0a", sha256)[0] == 2, "joined in the middle, and this one event"
    assert shard.recent("0b", sha256)[0] == 2, "goes on"


SPOILED: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "no owner": lambda state: state.pop("owner"),
    "a column less": lambda state: state.pop("cusum"),
    "no clock": lambda state: state.pop("clock"),
    "a short column": lambda state: state.update(cusum=state["cusum"][:-1]),
    "a column of another kind": lambda state: state.update(ring=state["ring"].astype(np.float32)),
    "tokens that the model has not": lambda state: state.update(ring=state["ring"] | 0xFF00),
    "joined that is more than true": lambda state: state.update(joined=state["joined"] + 2),
    "streams without a beginning": lambda state: state.update(length=state["length"] * 0),
    "keys that are no text": lambda state: state.update(key_bytes=state["key_bytes"] | 0x80),
    "a client without a number": lambda state: state.update(seqs=state["seqs"][:0]),
    "senders that are no JSON": lambda state: state.update(clocks=state["clocks"][:-1]),
    "senders without names": lambda state: state.update(clocks=np.frombuffer(b"[1]", np.uint8)),
    "a time out of all bounds": lambda state: state.update(clock=state["clock"] * np.inf),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_service_starts_afresh_where_its_saved_streams_cannot_be_read(
    service: Service, session: Lines, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    first = service.engine()
    first.submit(raw(session("0a")[:3], client="me", seq=1)).result(30)
    first.stop()
    state = dict(service.store.state("", 0))
    SPOILED[case](state)
    service.store.write([], [("", 0, Saved("one", state, complete=True))])

    second = service.engine()

    (told,) = (entry.getMessage() for entry in caplog.records if "streams" in entry.message)
    assert told.startswith("the saved streams cannot be read: ")
    assert told.endswith("; starting afresh, all streams count as joined in the middle")
    assert "\n" not in told
    again = second.submit(raw(session("0a")[:3], client="me", seq=1)).result(30)
    assert (again.events, again.repeated) == (3, False)
    assert len(second.of()._shards[0]._detector) == 1


@pytest.mark.parametrize("damage", [b"PK no archive", b"\xff\xfe no text"])
def test_a_service_starts_afresh_where_its_saved_streams_are_no_arrays(
    service: Service, session: Lines, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    first = service.engine()
    first.submit(raw(session("0a"))).result(30)
    first.stop()
    with service.store._database.writing() as connection:
        connection.execute(sa.update(tables.shards).values(data=damage))

    second = service.engine()

    assert "cannot be read" in caplog.text
    assert second.submit(raw(session("0a"))).result(30).events == 5
    second.stop()
    assert service.store.state("", 0)["complete"].tolist() == [True]


def test_pieces_of_a_round_leave_time_for_others_between_them(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 10 kB a second; a piece is a stream of some 800 bytes."""
    monkeypatch.setattr("offscript.model.streams.PART", 1)
    monkeypatch.setattr("offscript.service.saving._BYTES_PER_SECOND", 10_000)
    moments = list[float]()

    class Clock:
        """Knows when it was asked last, which is when a piece may go: its way takes any time."""

        def monotonic(self) -> float:
            self.now = time.monotonic()
            return self.now

    clock = Clock()
    monkeypatch.setattr("offscript.service.saving.time", clock)
    engine = service.engine(checkpoint_seconds=0.0)
    put = engine._writer.put

    def watched(entry: Entry) -> None:
        if entry.state is not None and entry.state[2].parts:
            moments.append(clock.now)
        put(entry)

    monkeypatch.setattr(engine._writer, "put", watched)
    lines = [line for n in range(6) for line in session(f"{n:04x}")[:3]]
    engine.submit(raw(lines)).result(30)
    until(lambda: len(moments) >= 6)

    assert min(np.diff(moments)) > 0.03


def test_streams_that_an_earlier_version_saved_go_on_by_the_time_of_the_slowest_client(
    service: Service, session: Lines
) -> None:
    first = service.engine()
    for client, day in (("live", 0.0), ("slow", -86_400.0)):
        times = np.full(2, 1772452800.0 + day)
        first.submit(raw(session(client)[:2], client=client, seq=1, times=times)).result(30)
    first.stop()
    state = dict(service.store.state("", 0))
    for name in ("source", "clock_numbers"):
        del state[name]
    state["clocks"] = np.array(["live", "slow"])
    state["clock"][:2] = 2.5e11  # it took a date for what it said
    service.store.write([], [("", 0, Saved("one", state, complete=True))])

    engine = service.engine()
    (shard,) = engine.of()._shards
    streams, numbers = shard._detector._streams, shard._clocks.numbers

    assert shard.recent("live", service.model.sha256)[0] == 3
    assert streams.state["source"][:2].tolist() == [numbers["slow"]] * 2
    assert engine.submit(raw(session("live")[:2], client="live", seq=1)).result(30).repeated
    assert streams.watermark < time.time() + 601.0


def test_a_senders_clock_outlives_the_service(service: Service, session: Lines) -> None:
    first = service.engine()
    for client in ("a", "b"):
        first.submit(raw(session(client)[:2], client=client, seq=1)).result(30)
    (shard,) = first.of()._shards
    numbers = dict(shard._clocks.numbers)
    sources = shard._detector._streams.state["source"][:2].tolist()
    first.stop()

    (shard,) = service.engine().of()._shards

    assert shard._clocks.numbers == numbers
    assert shard._detector._streams.state["source"][:2].tolist() == sources == [*numbers.values()]
