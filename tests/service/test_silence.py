"""Tests of streams that end by silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from offscript.service.allowance import SENDER
from offscript.tests.service.engines import Service, raw
from offscript.tests.service.receivers import until

Lines = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services look for silent streams twenty times a second, in place of once."""
    monkeypatch.setattr("offscript.service.shard._TICK_SECONDS", 0.05)


def test_silence_ends_a_stream(service: Service, session: Lines) -> None:
    idle = service.model.config.streams.idle_seconds
    engine = service.engine()
    engine.submit(raw(session("0a")[:2], client="one", seq=1)).result(30)
    late = np.full(5, 1772452800.0 + idle + 60.0)
    engine.submit(raw(session("0b"), client="one", seq=2, times=late)).result(30)
    until(service.alerts)

    assert [(stream, observed) for stream, _, observed, _ in service.alerts()] == [("0a", "<end>")]


def test_no_sender_ends_the_streams_of_another(service: Service, session: Lines) -> None:
    idle = service.model.config.streams.idle_seconds
    engine = service.engine()
    for number, sender in enumerate(("a", "b", "c"), start=1):
        engine.submit(raw(session(f"0{sender}")[:2], client=sender, seq=1)).result(30)
        late = np.full(5, 1772452800.0 + number * idle + 60.0)
        if sender == "b":
            engine.submit(raw(session("00"), client="b", seq=2, times=late)).result(30)
    engine.submit(raw(session("01"), client="backfill", times=np.full(5, 1.0))).result(30)
    until(service.alerts)
    time.sleep(0.3)  # it looks several times

    assert [(stream, observed) for stream, _, observed, _ in service.alerts()] == [("0b", "<end>")]


def test_callers_without_a_name_are_told_apart_by_token_or_address(
    service: Service, session: Lines
) -> None:
    idle = service.model.config.streams.idle_seconds
    engine = service.engine()
    late = np.full(5, 1772452800.0 + idle + 60.0)
    for sender, batch in (
        ("ann", raw(session("0a")[:2])),
        ("bob", raw(session("0b")[:2])),
        ("bob", raw(session("0c"), times=late)),
    ):
        before = SENDER.set(sender)
        engine.submit(batch).result(30)
        SENDER.reset(before)
    until(service.alerts)
    time.sleep(0.3)

    assert [stream for stream, *_ in service.alerts()] == ["0b"]


def test_one_sender_of_several_sources_has_a_clock_for_each(
    service: Service, session: Lines
) -> None:
    idle = service.model.config.streams.idle_seconds
    engine = service.engine()
    lines = [*session("0a")[:2], *session("0b")[:2], *session("0c")]
    times = np.full(9, 1772452800.0)
    times[4:] += idle + 60.0
    sources = ["one", "one", "two", "two", *["two"] * 5]
    engine.submit(raw(lines, names=[""] * 9, times=times, sources=sources)).result(30)
    until(service.alerts)
    time.sleep(0.3)

    assert [stream for stream, *_ in service.alerts()] == ["0b"]


def test_a_date_in_the_far_future_is_no_time_to_count_from(
    service: Service, session: Lines
) -> None:
    engine = service.engine()
    far = session("0a")[:1]
    engine.submit(raw(far, times=np.array([2.5e11]))).result(30)
    (shard,) = engine.of()._shards

    assert shard._detector.watermark < time.time() + 601.0
    assert shard._detector._streams.known_since < time.time() + 601.0
    assert (
        service.metrics.registry.get_sample_value("offscript_times_clamped_total", {"model": ""})
        == 1.0
    )


def test_a_shard_with_ever_more_streams_to_end_can_be_held(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = service.engine()
    (shard,) = engine.of()._shards
    ending, held = threading.Event(), threading.Event()

    def end_some() -> bool:
        ending.set()
        time.sleep(0.05)
        return True

    monkeypatch.setattr(shard, "_end_idle", end_some)
    assert ending.wait(30)

    def hold() -> None:
        with shard.held():
            held.set()

    threading.Thread(target=hold, daemon=True).start()
    assert held.wait(30)


def test_an_end_by_silence_is_saved_without_another_event(service: Service, session: Lines) -> None:
    idle = service.model.config.streams.idle_seconds
    engine = service.engine(checkpoint_seconds=0.0)
    late = np.full(5, 1772452800.0 + idle + 60.0)
    engine.submit(raw(session("0a")[:2], client="one")).result(30)
    engine.submit(raw(session("0b"), client="one", times=late)).result(30)
    until(lambda: sum(service.store.state("", 0).get("ended", [])))

    assert sum(service.store.state("", 0)["ended"]) == 1


def test_time_that_a_batch_spent_waiting_is_no_silence_of_its_client(
    service: Service, session: Lines
) -> None:
    idle = service.model.config.streams.idle_seconds
    batch = raw(session("0a")[:2], client="one", seq=1, received=time.time() - idle - 60.0)
    service.engine().submit(batch).result(30)
    time.sleep(0.3)  # it looks several times

    assert service.alerts() == []
