"""A model is tried on what came last before it serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.errors import ModelError
from offscript.model.folder import Model, load_model
from offscript.service.recent import Recent
from offscript.service.trial import Trial, attempt, check, expected_at_most
from offscript.tests.service.engines import raw, sessions
from offscript.tests.service.versions import renumbered, untrained, without

Lines = Callable[..., list[str]]


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def test_the_same_model_passes_on_good_streams_and_on_bad_ones(
    model: Model, session: Lines
) -> None:
    batches = [raw(session(f"{n:02x}", odd=n % 2 == 0)) for n in range(20)]

    assert check(renumbered(model), model, batches) == Trial(100, 20, 10, finite=True)


def test_without_events_a_model_is_tried_on_its_own(model: Model) -> None:
    assert check(renumbered(model), model, []).events == 0


def test_a_model_that_knows_less_is_refused_as_its_alerts_are_too_many(
    model: Model, session: Lines
) -> None:
    batches = [raw(sessions(session, 20))]  # of which four are odd
    for worse in (untrained(model), without(model, "session=<*> admin: setting <*> read")):
        with pytest.raises(
            ModelError,
            match=r"alerts in 20 of the 20 streams .* one that serves in 4, .* at most \d+ are",
        ):
            check(worse, model, batches)


def test_a_model_of_other_logs_is_refused(model: Model, session: Lines) -> None:
    events = replace(model.config.events, stream_key=r"user=(\w+)")
    other = replace(model, config=replace(model.config, events=events))

    with pytest.raises(ModelError, match="reads 0 events in what came last, the one that serves 5"):
        check(other, model, [raw(session("0a"))])


def test_a_model_may_take_the_place_of_one_that_reads_nothing(model: Model, session: Lines) -> None:
    events = replace(model.config.events, stream_key=r"nothing=(\w+)")
    blind = replace(model, config=replace(model.config, events=events))

    assert check(model, blind, [raw(session("0a"))]).events == 5
    with pytest.raises(ModelError, match="alerts in 4 of the 20 streams .* one that serves in 0"):
        check(model, blind, [raw(sessions(session, 20))])


def test_a_model_whose_scores_are_not_finite_is_refused(model: Model) -> None:
    b_U = np.full_like(model.weights.b_U, 3e38)
    weights = replace(model.weights, b_U=b_U, b_O=np.full_like(model.weights.b_O, 3e38))

    with pytest.raises(ModelError, match="not finite"):
        check(replace(model, weights=weights), model, [])


def test_of_an_endless_stream_blocks_of_time_are_judged(tiny_endless_model: Path) -> None:
    model = load_model(tiny_endless_model)
    block = model.config.streams.block_seconds
    times = 1772452800.0 + np.arange(40) * block / 4
    trial = attempt(model, [raw(None, names=["x"] * 40, times=times)])

    assert trial.streams in (10, 11)
    assert 0 < trial.alerted <= trial.streams


def test_what_chance_explains_is_expected() -> None:
    assert expected_at_most(1, 0.001) == 1
    assert expected_at_most(1000, 0.001) == 6  # P(X > 6) = 8e-5 of a Poisson law with mean 1
    assert expected_at_most(8192, 0.5) in range(4250, 4280)
    assert expected_at_most(5, 0.999) == 5


def test_what_is_kept_of_the_past_is_bounded(session: Lines) -> None:
    recent = Recent()
    for n in range(3000):
        recent.add(raw(session(f"{n:04x}"), size=500))
    recent.add(raw([]))
    kept = recent.batches()
    recent.add(raw(session("ffff"), size=5 << 20))

    many = Recent()
    for _ in range(10_000):
        many.add(raw(["x"], size=40))

    assert sum(map(len, kept)) in range(8180, 8193)
    assert len(many.batches()) in range(3000, 3300)  # what lies around the events counts too
    assert len(recent.batches()) == 1
