"""What would have made an alert normal counts only where scoring it again says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.benchmarks.attributions import METHODS, Explained
from offscript.benchmarks.faithfulness_alerts import ONE_EVENT, alerts_of
from offscript.benchmarks.faithfulness_changes import answer_times, changed, surprisals
from offscript.model.alert import Alert
from offscript.model.folder import Model, load_model
from offscript.training.held_out import Stream


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture
def alerts(model: Model) -> list[Alert]:
    names = list(model.vocabulary.names[4:])
    streams = [Stream(names, np.full(len(names), np.nan), started=True, ended=True)]
    return [alert for alert in alerts_of(model, streams) if alert.detector in ONE_EVENT][-4:]


def test_the_decoder_finds_the_surprisal_that_was_served(model: Model, alerts: list[Alert]) -> None:
    found = [surprisals(Explained.of(model), np.array(alert.tokens))[-1] for alert in alerts]

    assert found == pytest.approx([alert.surprisal for alert in alerts], abs=1e-4)


def test_one_event_brings_alerts_below_limits_that_they_hardly_passed_and_makes_no_others(
    model: Model, alerts: list[Alert]
) -> None:
    shares = changed(model, [replace(alert, limit=alert.surprisal - 0.01) for alert in alerts])

    assert shares["changed_at_1"] > 0.0
    assert shares["changed_normal_at_3"] == shares["changed_at_3"]


def test_no_change_makes_an_event_certain(model: Model, alerts: list[Alert]) -> None:
    shares = changed(model, [replace(alert, limit=0.0) for alert in alerts])

    assert set(shares.values()) == {0.0}


def test_the_search_is_timed_beside_the_methods(model: Model, alerts: list[Alert]) -> None:
    times = answer_times(model, alerts[:1], {"chance": METHODS["chance"]})

    assert times.keys() == {"chance", "counterfactual"}
    assert all(time > 0.0 for time in times.values())
