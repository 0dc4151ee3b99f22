"""Training says what its model would notice, and takes no budget by itself that leaves it blind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.interpret.card import Noticed
from offscript.model.folder import Model, load_model
from offscript.training.budget import Budget
from offscript.training.corpus import read_labelled
from offscript.training.held_out import HeldOut, Stream, hold_out
from offscript.training.partition import judged
from offscript.training.sensitivity import (
    CHANGES,
    UNCHANGED,
    UNKNOWN,
    calibrate_to_see,
    noticed,
    sentence,
    warning,
)

NAMES: list[str | None] = [*"abcdefgh"]
OTHERS: list[str | None] = [*"uvw"]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def normal(model: Model, tiny_log: Path) -> list[Stream]:
    corpus = read_labelled(model, [tiny_log], labels={}, only=None)
    return judged(corpus, model.config.streams, complete=True)


@pytest.fixture(scope="module")
def held(model: Model, normal: list[Stream]) -> HeldOut:
    return hold_out(model, normal, seed=0)


@pytest.mark.parametrize("seed", range(20))
def test_a_change_does_what_it_is_called(seed: int) -> None:
    made = {
        name: change(NAMES, OTHERS, np.random.default_rng(seed)) for name, change in CHANGES.items()
    }

    assert [name for name in made["unknown event"] if name is not None] == NAMES
    assert len(made["unknown event"]) == len(NAMES) + 1
    assert sum(a != b for a, b in zip(made["other event"], NAMES, strict=True)) == 1
    assert len(made["event left out"]) == len(NAMES) - 1
    assert set(made["event left out"]) < set(NAMES)
    places = [i for i, name in enumerate(made["two swapped"]) if name != NAMES[i]]
    assert places == [places[0], places[0] + 1]
    assert sorted(made["two swapped"], key=str) == sorted(made["shuffled"], key=str) == NAMES
    assert [name for name in made["foreign piece"] if name not in OTHERS] == NAMES
    assert 0 < len(made["foreign piece"]) - len(NAMES) <= len(OTHERS)
    assert made["cut short"] == NAMES[: len(made["cut short"])]
    assert 2 <= len(made["cut short"]) <= 6


def test_unknown_events_are_noticed_in_streams_that_raise_hardly_an_alert_as_they_are(
    model: Model, normal: list[Stream]
) -> None:
    found = {one.change: one for one in noticed(model, normal, seed=0)}

    assert set(found) == {UNCHANGED, *CHANGES}
    assert found[UNCHANGED].streams == 200
    assert found[UNCHANGED].share < 0.05
    assert found[UNKNOWN].share > 0.9
    assert found["shuffled"].share > found["two swapped"].share > 0.2


def test_streams_that_a_change_leaves_as_they_are_do_not_count(
    model: Model, normal: list[Stream]
) -> None:
    name = normal[0].names[0]
    alike = [Stream([name] * 5, np.full(5, np.nan), True, False)] * 30

    found = {one.change: one.streams for one in noticed(model, alike, seed=0)}

    assert found[UNCHANGED] == found[UNKNOWN] == found["event left out"] == 30
    assert found["two swapped"] == found["shuffled"] == 0
    assert found["cut short"] == 0  # their ends were not seen
    assert "shuffled" not in sentence(noticed(model, alike, seed=0))


def test_an_endless_stream_is_judged_by_pieces(model: Model, normal: list[Stream]) -> None:
    endless = replace(model.config.streams, endless=True, block_seconds=60.0)
    names = [name for stream in normal for name in stream.names]
    one = Stream(names, np.arange(float(len(names))), False, False)

    found = noticed(replace(model, config=replace(model.config, streams=endless)), [one], seed=0)

    assert found[0] == Noticed(UNCHANGED, found[0].alerts, 200)
    assert found[-1].streams == 0  # no piece ends


def test_one_odd_stream_does_not_leave_a_model_blind_for_a_budget_that_nobody_asked_for(
    model: Model, normal: list[Stream], held: HeldOut
) -> None:
    values = held.whole.values.copy()
    values[0] = np.where(np.isnan(values[0]), np.nan, 1e3)
    odd = replace(held, whole=replace(held.whole, values=values))
    smallest, rate = Budget(1, len(normal) + 1, "stream"), 1 / (len(normal) + 1)

    usual, nothing, _ = calibrate_to_see(model, held, normal, smallest, rate, asked=False, seed=0)
    chosen, widened, held_to = calibrate_to_see(
        model, odd, normal, smallest, rate, asked=False, seed=0
    )
    asked, advice, wider = calibrate_to_see(model, odd, normal, smallest, rate, asked=True, seed=0)

    assert (usual.budget, usual.rate, nothing) == (str(smallest), rate, None)
    assert (held_to, str(wider)) == (None, chosen.budget)
    assert chosen.budget == str(smallest.scaled(2.0))
    assert chosen.rate == 2.0 * rate
    assert f"instead of {smallest}; at that an event that training never saw" in str(widened)
    assert (asked.budget, asked.rate) == (str(smallest), rate)
    assert f"with --budget '{chosen.budget}'" in str(advice)


def test_what_many_streams_do_widens_no_budget(
    model: Model, normal: list[Stream], held: HeldOut
) -> None:
    values = held.whole.values.copy()
    values[::20] = np.where(np.isnan(values[::20]), np.nan, 1e3)
    odd = replace(held, whole=replace(held.whole, values=values))

    budget = Budget(1, 100, "stream")
    chosen, advice, wider = calibrate_to_see(model, odd, normal, budget, 0.01, asked=False, seed=0)

    assert (chosen.budget, chosen.rate) == (str(budget), 0.01)
    assert "of the time" in str(advice)
    assert f"--budget '{wider}'" in str(advice)


def test_no_budget_is_widened_at_which_streams_raise_alerts_without_the_unknown_event(
    model: Model, held: HeldOut
) -> None:
    # Far odder than what calibrates: whatever is added, they alert as they are.
    odd = [Stream([None] * 6, np.full(6, np.nan), True, True)] * 30
    budget, rate = Budget(1, 400, "stream"), 1 / 400

    chosen, said, wider = calibrate_to_see(model, held, odd, budget, rate, asked=False, seed=0)

    assert (chosen.budget, chosen.rate, wider) == (str(budget), rate, None)
    assert "0% more often than the 100% without it, whatever the budget" in str(said)


def found(**alerts: int) -> list[Noticed]:
    """Of a hundred streams with each change none raises an alert, unless said."""
    every = dict.fromkeys([UNCHANGED, *CHANGES], 0) | alerts
    return [Noticed(change, count, 100) for change, count in every.items()]


def test_a_model_that_no_change_makes_raise_an_alert_is_warned_of(model: Model) -> None:
    blind = "this model raises an alert for hardly any change"

    assert warning(model, found(), Budget(1, 26, "stream")) == (
        f"warning: {blind}; train with --budget '1/26 streams', or on more logs"
    )
    assert warning(model, found(shuffled=100), None) == (f"warning: {blind}; train on more logs")


def test_a_model_that_raises_alerts_without_any_change_is_warned_of(model: Model) -> None:
    every = dict.fromkeys(CHANGES, 100)
    streams = replace(model.config.streams, endless=True, block_seconds=60.0)
    endless = replace(model, config=replace(model.config, streams=streams))

    assert warning(model, found(unchanged=40, **every), None) == (
        "warning: 40% of the normal streams raise an alert; train on more logs"
    )
    # A piece of an endless stream holds many blocks, each of which has the budget.
    assert warning(endless, found(unchanged=40, **every), None) is None
    assert "60% of the normal pieces" in str(warning(endless, found(unchanged=60, **every), None))


def test_a_model_that_sees_one_kind_of_change_is_not_warned_of(model: Model) -> None:
    for change in (UNKNOWN, "cut short"):
        assert warning(model, found(**{change: 30}), None) is None
