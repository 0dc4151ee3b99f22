"""Measures of faithfulness tell a method that knows from one that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offscript.benchmarks import faithfulness
from offscript.benchmarks.attributions import METHODS, Explained, Question
from offscript.benchmarks.faithfulness_alerts import ONE_EVENT, alerts_of, repaired
from offscript.benchmarks.faithfulness_measures import Case, judge, named
from offscript.benchmarks.handmade import WORTH, broken_repetitions, induction
from offscript.benchmarks.results import read_results
from offscript.model.folder import load_model
from offscript.training.held_out import Stream


def test_the_first_three_are_those_that_speak_most_for_what_was_expected() -> None:
    assert named(np.array([-9.0, 1.0, 3.0, 2.0, 0.0])) == [2, 3, 1]


def test_a_method_that_knows_hits_and_one_that_does_not_hits_by_chance() -> None:
    cases = [Case(*pair) for pair in broken_repetitions(induction(), 6)]

    measures = judge(
        cases, {name: METHODS[name] for name in ("offscript", "chance")}, seed=0
    ).measures()

    assert measures["offscript"]["hit_at_1"] == 1.0
    assert measures["offscript"]["drop_at_3"] > 0.9 * WORTH
    assert measures["chance"]["hit_at_1"] < 0.5
    assert abs(measures["chance"]["replacement_pearson"]) < 0.5


def test_all_methods_are_judged_by_the_same_events_in_the_place_of_what_they_name() -> None:
    cases = [Case(*pair) for pair in broken_repetitions(induction(), 4)]

    def backwards(question: Question) -> np.ndarray:
        """The same three, named in another order."""
        values = METHODS["offscript"](question)
        values[named(values[:-1])] = values.max() + np.array([1.0, 2.0, 3.0])
        return values

    judged = judge(cases, {"offscript": METHODS["offscript"], "backwards": backwards}, seed=0)
    rest = judge(cases[2:], {"offscript": METHODS["offscript"]}, seed=0)

    drops = judged.by_method["offscript"].drop_at_3
    assert judged.by_method["backwards"].drop_at_3 == drops
    assert rest.by_method["offscript"].drop_at_3 == drops[2:]
    assert len(set(drops)) > 1


def test_the_last_event_is_a_candidate_only_where_it_is_the_cause() -> None:
    question, cause = broken_repetitions(induction(), 1)[0]
    last = len(question.tokens) - 1

    assert Case(question, cause).candidates == last
    assert Case(question, last).candidates == last + 1


def test_alerts_of_one_event_are_asked_for_their_repair(tiny_model: Path) -> None:
    model = load_model(tiny_model)
    names = list(model.vocabulary.names[4:])
    streams = [
        Stream(names[i:] + names[:i], np.full(len(names), np.nan), started=True, ended=True)
        for i in range(4)
    ]

    alerts = [alert for alert in alerts_of(model, streams) if alert.detector in ONE_EVENT]
    shares = repaired(Explained.of(model), alerts, {"offscript": METHODS["offscript"]})

    assert alerts
    assert 0.0 <= shares["offscript"] <= 1.0


@pytest.mark.slow
def test_one_command_writes_what_the_handmade_network_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faithfulness, "WORK", tmp_path)

    faithfulness.main(["handmade", "--results", str(tmp_path)])

    rows = read_results(tmp_path / "faithfulness.json").rows
    exact = {row.method: row.value for row in rows if row.measure == "exact_error"}
    assert exact["direct_logits"] == pytest.approx(0.0, abs=1e-6)
    assert exact["offscript"] < 0.05
