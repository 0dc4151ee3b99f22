"""How far the surprise of events is from what it was in training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from offscript.model.detector import Detector
from offscript.model.event import EventParser
from offscript.model.folder import Model, load_model
from offscript.service.drift import Drift, bin_edges, stability_index
from offscript.tests.service.engines import Service, raw

Lines = Callable[..., list[str]]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def surprisal(model: Model, lines: list[str]) -> np.ndarray:
    parsed = EventParser(model.config.events, model.templates).parse(lines)
    return Detector(model).observe(parsed.stream, parsed.name, parsed.time).surprisal


def test_the_index_is_none_for_like_shares_and_grows_with_the_difference() -> None:
    even = np.array([50.0, 50.0])

    assert stability_index(even, 7.0 * even) == pytest.approx(0.0, abs=1e-4)
    slight, large = (stability_index(even, np.array([x, 100.0 - x])) for x in (60.0, 90.0))
    assert 0.0 < slight < 0.1
    assert large > 0.25
    assert stability_index(np.array([60.0, 40.0]), even) == pytest.approx(slight, rel=0.05)
    assert math.isfinite(stability_index(even, np.array([100.0, 0.0])))


def test_events_that_are_all_but_sure_are_told_from_odd_ones_not_from_one_another() -> None:
    held = np.linspace(1e-5, 2e-5, 5_000)
    (edge,) = bin_edges(held)

    assert 2.0 * held.max() < edge < 0.5
    piled = np.sort(np.concatenate([held, held + 0.69, held + 1.386]))
    edges = bin_edges(piled)
    before, after = (np.searchsorted(edges, values) for values in (piled, 1.001 * piled))
    assert len(edges) == 3
    assert before.tolist() == after.tolist()


def test_events_as_in_training_show_no_drift_and_others_do(
    model: Model, tiny_log: Path, session: Lines
) -> None:
    drift = Drift(model)
    assert math.isnan(drift.index())

    usual = surprisal(model, tiny_log.read_text().splitlines())
    for _ in range(-(-1_000 // len(usual))):
        drift.add(usual)
    assert drift.index() < 0.1

    odd = [line for n in range(900) for line in reversed(session(f"{n:04x}"))]
    drift.add(surprisal(model, odd))
    assert drift.index() > 0.25


def test_what_was_long_ago_is_forgotten(model: Model, tiny_log: Path) -> None:
    drift = Drift(model)
    usual = surprisal(model, tiny_log.read_text().splitlines())
    drift.add(np.full(20_000, 30.0, np.float32))
    high = drift.index()

    for _ in range(1_000_000 // len(usual)):
        drift.add(usual)

    assert high > 1.0
    assert drift.index() < 0.1


def test_a_model_without_held_out_windows_is_served_without_an_index(model: Model) -> None:
    bare = {name: a for name, a in model.reference.items() if not name.startswith("window")}
    drift = Drift(replace(model, reference=bare))
    drift.add(np.ones(5_000, np.float32))

    assert math.isnan(drift.index())


def test_a_service_shows_it_for_the_model_that_it_serves(service: Service, tiny_log: Path) -> None:
    engine = service.engine(threads=2)
    engine.submit(raw(tiny_log.read_text().splitlines())).result(30)
    read = partial(
        service.metrics.registry.get_sample_value, "offscript_surprisal_drift", {"model": ""}
    )

    before = read()
    engine.of().change(replace(service.model, sha256="b")).result(30)
    after = read()

    assert before is not None
    assert 0.0 <= before < 0.1
    assert after is not None
    assert math.isnan(after)
