"""Batches in, acknowledgements out: every event once, in order, and no alert lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.errors import OverloadError
from offscript.model.event import EventConfig
from offscript.model.folder import load_model
from offscript.service.arrays import Saved
from offscript.service.batch import Batch
from offscript.service.config import ServiceConfig
from offscript.service.engine import Engine
from offscript.service.metrics import Metrics
from offscript.service.store import Store
from offscript.tests.service.engines import Service, all_scored, nothing_read, raw, sessions
from offscript.tests.service.receivers import until

Lines = Callable[..., list[str]]


def test_a_normal_session_raises_nothing_and_an_odd_one_an_alert(
    service: Service, session: Lines
) -> None:
    engine = service.engine()
    normal = engine.submit(raw(session("0a", minute=1))).result(30)
    odd = engine.submit(raw(session("0b", odd=True, minute=2))).result(30)

    assert normal.alerts == ()
    assert normal.surprisal is not None
    assert len(normal.surprisal) == normal.events == 5
    alerts = [stored.alert for stored in odd.alerts]
    assert {alert.stream for alert in alerts} == {"0b"}
    first = alerts[0]
    assert first.observed == "<new>"
    assert first.text == session("0b", odd=True, minute=2)[2].replace("hunter2", "<redacted>")
    assert first.lines[-3:-1] == tuple(session("0b", odd=True, minute=2)[:2])


def test_lines_without_a_key_and_lines_that_go_on_are_counted(
    service: Service, session: Lines
) -> None:
    lines = session("0a")
    outcome = service.engine().submit(
        raw([lines[0], "  at frame 1", "2026-03-02 12:00:01.000 no session here", *lines[1:]])
    )

    assert (outcome.result(30).events, outcome.result(30).unkeyed) == (5, 1)
    assert outcome.result(30).continuations == 1
    row = outcome.result(30).row
    assert row is not None
    assert row.tolist() == [0, 3, 4, 5, 6]


def test_lines_that_are_no_json_are_counted_where_json_is_read(
    service: Service, session: Lines
) -> None:
    events = EventConfig("json", stream_key="id", event=("event",))
    model = replace(service.model, config=replace(service.model.config, events=events))
    engine = Engine({"": model}, service.store, service.config, Metrics())
    engine.start()

    lines = ['{"id": "a", "event": "x"}', "no json", "[1]", "", '{"event": "x"}']
    keyless = engine.submit(raw(lines)).result(30)
    keyed = engine.submit(raw(lines, streams=["a"] * 5)).result(30)
    engine.stop()

    assert (keyless.events, keyless.broken) == (1, 2)
    assert (keyless.continuations, keyless.unkeyed) == (1, 1)
    assert (keyed.events, keyed.broken, keyed.continuations) == (2, 2, 1)


def test_streams_and_times_that_the_client_gives_come_before_those_of_the_line(
    service: Service, session: Lines
) -> None:
    lines = [line.replace("session=0b ", "") for line in session("0b")]
    outcome = service.engine().submit(
        raw(lines, streams=["mine"] * 5, times=np.arange(5.0) + 1e9, ended=("mine",))
    )

    assert outcome.result(30).events == 5
    assert {stored.alert.stream for stored in outcome.result(30).alerts} <= {"mine"}


def test_names_that_the_model_knows_are_scored_like_their_lines(
    service: Service, session: Lines
) -> None:
    engine = service.engine()
    by_line = engine.submit(raw(session("0a"))).result(30)
    parsed = engine.of()._reader.read(raw(session("0b")))
    names = [name or "" for name in parsed.name]
    by_name = engine.submit(
        raw(None, names=names, streams=["0c"] * len(names), times=parsed.time)
    ).result(30)

    assert by_line.surprisal is not None
    assert by_name.surprisal is not None
    assert np.array_equal(by_line.surprisal, by_name.surprisal)


def test_names_wait_for_the_lines_that_came_before_them(service: Service, session: Lines) -> None:
    engine = service.engine()
    lines = session("0a", odd=True)
    whole = engine.submit(raw(lines)).result(30)
    parsed = engine.of()._reader.read(raw(lines[3:]))
    names = [name or "" for name in parsed.name]
    rest = raw(None, names=names, streams=["0b"] * len(names), times=parsed.time)

    with nothing_read(engine):
        engine.submit(raw([line.replace("=0a", "=0b") for line in lines[:3]]))
        later = engine.submit(rest)

    assert whole.surprisal is not None
    surprisal = later.result(30).surprisal
    assert surprisal is not None
    assert np.array_equal(surprisal, whole.surprisal[3:])


@pytest.mark.parametrize("batch", [raw(["x"]), raw(None, names=["x"])])
def test_a_batch_that_cannot_be_read_is_over_and_others_are_not(
    service: Service, session: Lines, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Batch) -> None:
        raise ValueError("a fault of ours")

    engine = service.engine()
    with monkeypatch.context() as failing:
        failing.setattr(engine.of()._reader, "read", fails)
        with pytest.raises(ValueError, match="a fault of ours"):
            engine.submit(batch).result(30)
    until(lambda: service.metrics.registry.get_sample_value("offscript_queue_events") == 0)
    assert engine.submit(raw(session("0b"))).result(30).events == 5


@pytest.mark.parametrize("reorder_seconds", [0.0, 0.05])
def test_no_secret_is_kept_with_the_lines_that_alerts_may_need(
    service: Service, session: Lines, tmp_path: Path, reorder_seconds: float
) -> None:
    engine = service.engine(reorder_seconds=reorder_seconds, threads=2)
    engine.submit(raw([line for n in range(9) for line in session(f"0{n}", odd=True)])).result(30)
    engine.stop()

    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("lines-*"))
    assert kept.count(b"password=<redacted>") == 9
    written = (path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(b"hunter2" in data for data in written)


def test_several_threads_raise_the_same_alerts_as_one(
    service: Service, session: Lines, tmp_path: Path
) -> None:
    lines = sessions(session, 60)
    one = service.engine().submit(raw(lines, ended=("0001", "0003"))).result(30)
    alerts = service.alerts()
    other = Service(service.model, replace(service.config, store=f"sqlite:///{tmp_path}/other.db"))
    three = other.engine(threads=3).submit(raw(lines, ended=("0001", "0003"))).result(30)

    assert alerts == other.alerts() != []
    assert one.surprisal is not None
    assert three.surprisal is not None
    assert np.array_equal(one.surprisal, three.surprisal)
    other.stop()


def test_a_batch_sent_again_is_scored_once(service: Service, session: Lines) -> None:
    engine = service.engine()
    batch = raw(session("0a", odd=True), client="me", seq=1)
    first = engine.submit(batch).result(30)
    again = engine.submit(replace(batch)).result(30)
    later = engine.submit(replace(batch, seq=2)).result(30)

    assert (first.repeated, first.events) == (False, 5)
    assert (again.repeated, again.events, again.alerts) == (True, 5, ())  # 5 are in the state
    assert (later.repeated, later.events) == (False, 5)


def test_a_client_without_a_name_is_never_taken_to_repeat(service: Service, session: Lines) -> None:
    engine = service.engine()
    batch = raw(session("0a"), seq=1)

    assert not engine.submit(batch).result(30).repeated
    assert not engine.submit(replace(batch)).result(30).repeated


def test_a_full_queue_refuses_more(service: Service, session: Lines) -> None:
    engine = service.engine(queue_events=20)
    with nothing_read(engine):
        accepted = [engine.submit(raw(session(f"{n}"))) for n in range(4)]
        with pytest.raises(OverloadError, match="20 events wait") as caught:
            engine.submit(raw(session("9")))

    assert caught.value.retry_seconds > 0
    assert [future.result(30).events for future in accepted] == [5] * 4
    all_scored(engine)
    assert engine.submit(raw(session("9"))).result(30).events == 5


def test_a_batch_larger_than_the_queue_is_taken_when_it_is_alone(
    service: Service, session: Lines
) -> None:
    assert service.engine(queue_events=3).submit(raw(session("0a"))).result(30).events == 5


@pytest.mark.parametrize("threads", [1, 2])
def test_stopping_halfway_gives_the_same_alerts_as_running_through(
    service: Service, session: Lines, tmp_path: Path, threads: int
) -> None:
    lines = sessions(session, 40)
    lines.sort(key=lambda line: line[:23])  # all sessions at once, so that all are open halfway
    through = Service(service.model, replace(service.config, store=f"sqlite:///{tmp_path}/one.db"))
    whole = through.engine(threads=threads).submit(raw(lines)).result(30)
    first = service.engine(threads=threads)
    before = first.submit(raw(lines[:83], client="me", seq=1)).result(30)
    first.stop()
    second = service.engine(threads=threads)
    repeated = second.submit(raw(lines[:83], client="me", seq=1)).result(30)
    after = second.submit(raw(lines[83:], client="me", seq=2)).result(30)

    assert repeated.repeated
    assert service.alerts() == through.alerts() != []
    scores = [outcome.surprisal for outcome in (before, after, whole)]
    assert np.array_equal(np.concatenate([scores[0], scores[1]]), scores[2])  # type: ignore[arg-type]
    through.stop()


def test_a_killed_service_takes_no_gap_for_an_anomaly(
    service: Service, session: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [line for n in range(30) for line in session(f"{n:04x}")]
    lines.sort(key=lambda line: line[:23])
    first = service.engine(checkpoint_seconds=0.0)
    long_before = 1772452800.0 - np.array([100.0, 99.0])
    silent = raw(session("5555")[:2], client="me", seq=1, times=long_before)
    first.submit(silent).result(30)
    first.submit(raw(lines[:30], client="me", seq=2)).result(30)
    saved: dict[str, np.ndarray] = {}
    while len(saved.get("length", ())) < 31 or saved["seqs"].max() < 2:  # clients come first
        saved = service.store.state("", 0)
    first.submit(raw(lines[30:90], client="me", seq=3)).result(30)
    first.stop()
    service.store.write([], [("", 0, Saved("one", saved))])  # as if it had been killed now

    second = service.engine()
    second.submit(raw(lines[90:], client="me", seq=4)).result(30)
    again = second.submit(silent).result(30)

    assert service.alerts() == []
    assert again.repeated
    assert "30 of its 31 streams were active" in caplog.text


def test_streams_of_another_number_of_threads_start_afresh(
    service: Service, session: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    first = service.engine()
    first.submit(raw(session("0a")[:2])).result(30)
    first.stop()

    service.engine(threads=2).submit(raw(session("0a")[2:])).result(30)

    assert "starting afresh" in caplog.text


def test_what_more_threads_have_saved_is_not_taken_up_after_fewer(
    service: Service, session: Lines
) -> None:
    for threads, keys in ((4, "abcdef"), (1, "a"), (4, "a")):
        engine = service.engine(threads=threads)
        for key in keys:
            engine.submit(raw(session(f"0{key}")[:2])).result(30)
        known = sum(len(shard._detector) for shard in engine.of()._shards)
        engine.stop()
        assert known == len(keys)


def test_a_batch_may_name_more_streams_than_are_kept(service: Service, session: Lines) -> None:
    lines = sessions(session, 40)  # every fifth is odd
    plenty = service.engine().submit(raw(lines)).result(30)
    few = service.engine(max_streams=7).submit(raw(lines)).result(30)

    assert plenty.surprisal is not None
    assert few.surprisal is not None
    assert few.events == 200
    assert np.array_equal(few.surprisal[:5], plenty.surprisal[:5])
    assert {s.alert.stream for s in few.alerts} == {s.alert.stream for s in plenty.alerts}
    odd = [s.alert for s in few.alerts if s.alert.observed == "<new>"]
    assert [alert.text for alert in odd] == [
        line.replace("hunter2", "<redacted>") for line in lines if "hunter2" in line
    ]


def test_the_budget_grows_with_the_streams_seen(service: Service, session: Lines) -> None:
    metrics = Metrics()
    metrics.of("").loaded(service.model)
    engine = Engine(
        {"": service.model}, service.store, replace(service.config, max_streams=5), metrics
    )
    engine.start()
    for n in range(7):
        engine.submit(raw(session(f"{n:02x}"))).result(30)
    engine.submit(raw(session("06"))).result(30)  # seen before
    engine.stop()

    budget = metrics.registry.get_sample_value("offscript_alert_budget", {"model": ""})
    assert budget == service.model.calibration.rate
    allowed = metrics.registry.get_sample_value("offscript_alerts_allowed_total", {"model": ""})
    assert allowed == pytest.approx(7 * budget)


def test_of_an_endless_stream_the_budget_grows_with_the_blocks_of_time(
    tiny_endless_model: Path, config: ServiceConfig, tmp_path: Path
) -> None:
    model, store = load_model(tiny_endless_model), Store(f"sqlite:///{tmp_path}/endless.db")
    metrics, block = Metrics(), model.config.streams.block_seconds
    engine = Engine({"": model}, store, config, metrics)
    engine.start()
    times = 1772452800.0 + np.arange(40) * block / 4
    for part in (times[:20], times[20:]):
        engine.submit(raw(None, names=["x"] * 20, times=part)).result(30)
    engine.stop()
    store.close()

    allowed = metrics.registry.get_sample_value("offscript_alerts_allowed_total", {"model": ""})
    # From one batch to the next; what lies before the first is not known.
    assert allowed == pytest.approx(5 * model.calibration.rate)
