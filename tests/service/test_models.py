"""Several models in one engine: each has streams, state and room of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from offscript.model.errors import InputError, OverloadError
from offscript.model.folder import Model, load_model
from offscript.service.config import ServiceConfig
from offscript.service.engine import Engine
from offscript.service.intake import LogIntake
from offscript.service.metrics import Metrics
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.tests.service.engines import all_scored, raw
from offscript.tests.service.otlp_requests import record, request
from offscript.tests.service.versions import renumbered

Lines = Callable[..., list[str]]


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture
def store(config: ServiceConfig) -> Iterator[Store]:
    opened = Store(config.store)
    yield opened
    opened.close()


@pytest.fixture
def start(config: ServiceConfig, store: Store) -> Iterator[Callable[..., Engine]]:
    """Starts engines, each in the place of the one before, of models by name."""
    engines: list[Engine] = []

    def started(models: dict[str, Model], **changes: Any) -> Engine:
        for engine in engines:
            engine.stop()
        names = dict.fromkeys(models, Path("not read"))
        own = replace(config, models=names, **changes)
        engines.append(Engine(models, store, own, Metrics()))
        engines[-1].start()
        return engines[-1]

    yield started
    for engine in engines:
        engine.stop()


def alerts(store: Store, **which: Any) -> list[tuple[str, str, str]]:
    found = [stored.alert for stored in store.alerts(Filter(**which), limit=1000)]
    return sorted((alert.model_name, alert.stream, alert.observed) for alert in found)


def test_a_stream_key_under_two_models_is_two_streams(
    start: Callable[..., Engine], model: Model, store: Store, session: Lines
) -> None:
    engine = start({"a": model, "b": model})  # of one folder
    lines = session("0a", odd=True)
    for name in ("a", "b"):
        engine.submit(raw(lines[:2], model=name)).result(30)
    for name in ("a", "b"):
        engine.submit(raw(lines[2:], model=name)).result(30)

    streams = alerts(store, model="a")
    assert streams == [("a", *rest) for _, *rest in alerts(store, model="b")] != []
    assert sorted(alerts(store)) == sorted(streams + alerts(store, model="b"))
    found = next(
        stored.alert
        for stored in store.alerts(Filter(model="b"), limit=9)
        if stored.alert.observed == "<new>"
    )
    assert found.count == 1
    assert found.lines[-3:-1] == tuple(lines[:2])  # spools are apart, too
    assert {incident.model_name for incident in store.incidents()} == {"a", "b"}


def test_state_is_kept_by_name_and_never_given_to_another_model(
    start: Callable[..., Engine],
    model: Model,
    store: Store,
    session: Lines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = replace(renumbered(model), sha256="b")
    first = start({"one": model, "two": other})
    for name in ("one", "two"):
        first.submit(raw(session("0a")[:3], client="me", seq=1, model=name)).result(30)

    second = start({"two": other, "one": model})  # in another order
    for name in ("one", "two"):
        again = second.submit(raw(session("0a")[:3], client="me", seq=1, model=name)).result(30)
        rest = second.submit(raw(session("0a")[3:], client="me", seq=2, model=name)).result(30)
        assert again.repeated
        assert rest.alerts == ()
    assert "afresh" not in caplog.text
    swapped = start({"one": other, "two": model})

    assert "one: the saved streams belong to another model" in caplog.text
    assert "two: the saved streams belong to another model" in caplog.text
    for name in ("one", "two"):
        batch = raw(session("0a")[:3], client="me", seq=1, model=name)
        assert not swapped.submit(batch).result(30).repeated


def test_a_model_that_is_left_out_is_told_and_goes_on_when_it_comes_back(
    start: Callable[..., Engine], model: Model, session: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    first = start({"": model, "b": model, "c": model})
    for name in ("", "b"):
        first.submit(raw(session("0a")[:3], client="me", seq=1, model=name)).result(30)
    second = start({"d": model})
    (told,) = (entry.getMessage() for entry in caplog.records if "not served now" in entry.msg)
    fresh = second.submit(raw(session("0a")[:3], client="me", seq=1)).result(30)
    third = start({"": model, "b": model})

    assert told.endswith("keeps them: the one without a name, b, c")
    assert not fresh.repeated
    for name in ("", "b"):
        batch = raw(session("0a")[:3], client="me", seq=1, model=name)
        assert third.submit(batch).result(30).repeated


def test_the_model_without_a_name_is_the_default_and_goes_on_beside_others(
    start: Callable[..., Engine], model: Model, session: Lines
) -> None:
    start({"": model}).submit(raw(session("0a")[:3], client="me", seq=1)).result(30)

    engine = start({"b": replace(renumbered(model), sha256="b"), "": model})
    assert engine.of().name == ""
    assert list(engine.served) == ["", "b"]
    assert engine.submit(raw(session("0a")[:3], client="me", seq=1)).result(30).repeated


def test_a_flooded_model_keeps_no_other_from_being_sent_to(
    start: Callable[..., Engine], model: Model, session: Lines
) -> None:
    engine = start({"a": model, "b": model}, queue_events=40)
    (shard,) = engine.of("a")._shards
    with shard.held():
        accepted: list[Future[Any]] = []
        with pytest.raises(OverloadError, match="20 events wait to be scored, at most 20 may"):
            accepted.extend(engine.submit(raw(session(f"0{n}"), model="a")) for n in range(9))
        assert engine.submit(raw(session("0a"), model="b")).result(30).events == 5
        with pytest.raises(OverloadError):  # all of it or nothing
            engine.submit_all([raw(session("0b"), model="b"), raw(session("0c"), model="a")])
    assert [each.result(30).events for each in accepted] == [5] * 4
    counted = engine.of("b").metrics.events

    assert counted["scored"]._value.get() == 5
    assert counted["refused"]._value.get() == 5
    assert engine.of("a").metrics.events["refused"]._value.get() == 10


def test_a_model_whose_events_wait_for_long_keeps_no_other_from_being_called(
    start: Callable[..., Engine], model: Model, session: Lines
) -> None:
    engine = start({"a": model, "b": model}, queue_seconds=0.1)
    (shard,) = engine.of("a")._shards
    with shard.held():
        waiting = engine.submit(raw(session("00"), model="a"))
        time.sleep(0.2)
        engine.check_wait()
        assert engine.submit(raw(session("0a"), model="b")).result(30).events == 5
        with pytest.raises(OverloadError, match="have waited for"):
            engine.submit(raw(session("01"), model="a"))
    waiting.result(30)

    assert engine.of("a").metrics.events["refused"]._value.get() == 5


def test_a_request_for_a_model_without_room_is_taken_by_none(
    start: Callable[..., Engine], model: Model, store: Store, session: Lines
) -> None:
    engine = start({"a": model, "b": model}, queue_events=10)
    intake = LogIntake(engine, (), "m")
    lines = session("0a", odd=True)
    data = request(
        [record(line, second=n, m=name) for name in ("a", "b") for n, line in enumerate(lines)]
    ).SerializeToString()
    (shard,) = engine.of("b")._shards
    with shard.held():
        waiting = engine.submit(raw(session("0b"), model="b"))
        with pytest.raises(OverloadError):
            intake.take(data)
    waiting.result(30)
    all_scored(engine)

    assert alerts(store) == []
    assert intake.take(data).result(30) == ExportLogsServiceResponse()
    assert {(name, stream) for name, stream, _ in alerts(store)} == {("a", "0a"), ("b", "0a")}
    assert engine.of("a").metrics.events["scored"]._value.get() == 5


def test_memory_is_shared_out_among_the_models(config: ServiceConfig) -> None:
    models = {name: Path(name) for name in "abcd"}
    share = replace(config, models=models, max_streams=10, live_bytes=400, queue_events=2).share()

    assert (share.max_streams, share.live_bytes, share.queue_events) == (2, 100, 1)
    assert config.share() == config


@pytest.mark.parametrize("name", ["", "1web", "a b", "a/b", "..", "é", "x" * 65, "-a"])
def test_a_name_that_is_none_is_refused(config: ServiceConfig, name: str) -> None:
    if name:
        with pytest.raises(InputError, match="expected a model's name of a letter and up to 63"):
            replace(config, models={name: Path("m")})
    with pytest.raises(InputError, match="give those as NAME=MODEL"):
        replace(config, models={"": Path("m")}, otlp_model="service.name")


def test_of_a_request_that_fails_what_was_scored_is_not_scored_again(
    start: Callable[..., Engine],
    model: Model,
    store: Store,
    session: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = start({"a": model, "b": model})
    intake = LogIntake(engine, (), "m")
    lines = session("0a", odd=True)
    data = request(
        [record(line, second=n, m=name) for name in ("a", "b") for n, line in enumerate(lines)]
    ).SerializeToString()
    reader = engine.of("b")._reader
    with monkeypatch.context() as broken:
        broken.setattr(reader, "read", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            intake.take(data).result(30)

    assert intake.take(data).result(30) == ExportLogsServiceResponse()
    assert intake.take(data).result(30) == ExportLogsServiceResponse()
    assert {(name, stream) for name, stream, _ in alerts(store)} == {("a", "0a"), ("b", "0a")}
    for name, repeated in (("a", 10), ("b", 5)):
        counted = engine.of(name).metrics.events
        assert counted["scored"]._value.get() == 5
        assert counted["repeated"]._value.get() == repeated


def test_raw_lines_of_models_and_threads_that_serve_no_more_are_removed(
    start: Callable[..., Engine], model: Model, store: Store, session: Lines
) -> None:
    def kept() -> set[str]:
        assert store.lines is not None
        files = [path for path in store.lines.rglob("*") if path.is_file()]
        return {str(path.parent.relative_to(store.lines)) for path in files}

    first = start({"": model, "b": model, "c": model}, threads=2)
    for name in ("b", "c"):
        first.submit(raw(session("0a"), model=name)).result(30)
    assert kept() == {"0", "1", "b/0", "b/1", "c/0", "c/1"}
    assert store.lines is not None
    (store.lines / "note").write_text("somebody else's")

    second = start({"b": model})
    assert kept() == {"b/0", "."}
    assert not (store.lines / "c").exists()
    alert = second.submit(raw(session("0b", odd=True), model="b")).result(30).alerts[0].alert
    assert alert.lines[-3:-1] == tuple(session("0b")[:2])
    start({"b": model}, spool_bytes=0)
    assert kept() == {"."}
