"""Which paths move the surprise of what is served."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from offscript.interpret.paths import path_names
from offscript.model.folder import Model, load_model
from offscript.model.vocabulary import END, PAST, START
from offscript.protos import detector_pb2 as pb
from offscript.service import shares
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.engine import Engine
from offscript.service.recent import Recent
from offscript.service.shares import came_last, held_out, path_shares
from offscript.tests.service.engines import Service, raw
from offscript.tests.service.receivers import until

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Looks at few events and without a pause, as the types of each are checked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "_EVENTS", 500)
        patch.setattr(shares, "_SECONDS", 0.05)
        yield


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def expected(model: Model) -> dict[str, float]:
    return path_shares(model, held_out(model))


@pytest.fixture
def usual(tiny_log: Path) -> list[str]:
    return tiny_log.read_text().splitlines()[:700]


def test_shares_are_of_all_paths_and_sum_to_one(model: Model, expected: dict[str, float]) -> None:
    assert set(expected) == {"direct", *path_names(model.weights)}
    assert sum(expected.values()) == pytest.approx(1.0)
    assert min(expected.values()) >= 0.0


def test_of_few_events_nothing_is_said(model: Model) -> None:
    assert path_shares(model, held_out(model)[:2]) == {}
    assert path_shares(model, []) == {}
    assert came_last(model, []) == []
    assert came_last(model, [raw(["no key"])]) == []


def test_a_model_without_held_out_windows_has_none_to_compare_with(model: Model) -> None:
    bare = {name: a for name, a in model.reference.items() if not name.startswith("window")}

    assert held_out(replace(model, reference=bare)) == []


def test_no_window_ends_with_an_end_which_does_not_come_as_an_event(model: Model) -> None:
    assert all(window[-1] != END for window in held_out(model))


def test_streams_are_met_from_where_they_are_at_hand(model: Model, session: Lines) -> None:
    whole, cut = session("a"), session("b")[2:]
    windows = came_last(model, [raw(whole + cut[:1]), raw(cut[1:])])

    assert sorted((int(w[0]), len(w) - 1) for w in windows) == [
        (START, len(whole)),
        (PAST, len(cut)),
    ]


def test_events_in_a_wrong_order_move_the_shares_and_usual_ones_hardly(
    model: Model, expected: dict[str, float], usual: list[str]
) -> None:
    like, odd = (
        path_shares(model, came_last(model, [raw(lines)])) for lines in (usual, usual[::-1])
    )

    def distance(found: dict[str, float]) -> float:
        return sum(abs(found[path] - share) for path, share in expected.items()) / 2.0

    assert distance(like) < 0.1
    assert distance(odd) > 2.0 * distance(like)


@pytest.fixture
def engine(model: Model, config: ServiceConfig, usual: list[str]) -> Iterator[Engine]:
    service = Service(model, config)
    engine = service.engine()
    engine.submit(raw(usual)).result()
    yield engine
    service.stop()


def test_nothing_is_left_of_a_model_that_was_changed_during_a_look(
    model: Model, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = engine._metrics
    shares._show(engine.of())
    assert b'path_share{model="",path="direct"}' in metrics.text()

    def changed(late: Model) -> list[shares.Window]:
        engine.of().change(replace(model)).result()
        metrics.of("").loaded(engine.of().model)
        return held_out(late)

    monkeypatch.setattr(shares, "held_out", changed)
    shares._show(engine.of())

    assert b"path_share{" not in metrics.text()
    assert b"path_share_held_out{" not in metrics.text()


def test_what_has_become_too_few_events_is_shown_no_longer(engine: Engine) -> None:
    metrics = engine._metrics
    shares._show(engine.of())
    engine.of().recent = Recent()
    shares._show(engine.of())

    assert b"path_share{" not in metrics.text()
    assert b'path_share_held_out{model="",path="direct"}' in metrics.text()


def test_a_service_shows_the_shares_beside_those_of_its_model(
    config: ServiceConfig, in_process: InProcess, expected: dict[str, float], usual: list[str]
) -> None:
    with in_process(config) as running:
        with Client(running.address) as client:
            client.score_once(pb.EventBatch(lines=usual))
        # They come one after the other.
        until(lambda: sum(sampled(running.web, "").values()) == pytest.approx(1.0), 60.0)
        until(lambda: sampled(running.web, "_held_out") == pytest.approx(expected), 60.0)


def sampled(web: str, name: str) -> dict[str, float]:
    """By path, of the metric with this ending."""
    with urllib.request.urlopen(f"{web}/metrics") as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    samples = next(f.samples for f in families if f.name == f"offscript_path_share{name}")
    return {sample.labels["path"]: sample.value for sample in samples}
