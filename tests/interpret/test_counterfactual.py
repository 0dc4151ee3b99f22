"""What would have been is what scoring the other stream says."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.counterfactual import Following, Instead, Repair, repair
from offscript.interpret.counterfactual_text import after_words, what_if
from offscript.interpret.directions import entropy, surprisal
from offscript.interpret.explain import explain
from offscript.interpret.reference import read_reference
from offscript.interpret.window import Window
from offscript.model.alert import Alert
from offscript.model.vocabulary import END, NEW, START
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]
Alerts = Callable[..., Alert]

TOKENS = (START, *np.random.default_rng(7).integers(4, 12, size=30).tolist())
LATER = (6, 9, 4, 11)
COPIED = (START, 7, 5, 6, 8, 10, 7, 5)  # "5 then 6" came before; 5 comes again


def surprisals(model: SimpleNamespace, tokens: tuple[int, ...]) -> np.ndarray:
    logits = run(model.weights.astype(np.float64), np.array(tokens[:-1])).logits
    return surprisal(logits, np.array(tokens[1:]))


def window_of(model: SimpleNamespace, alert: Alert) -> Window:
    weights = model.weights.astype(np.float64)
    activations = run(weights, np.array(alert.tokens[:-1]), last_only=True)
    reference = read_reference(model.reference, weights)
    index = len(alert.tokens) - 1
    return Window(weights, model.vocabulary, reference, alert, index, activations)


def test_an_event_is_normal_where_it_came_before_in_the_copied_ones_place(
    make_model: Make, make_alert: Alerts, induction: Weights
) -> None:
    explanation = explain(make_model(induction), make_alert((*COPIED, 9), limit=1.0))

    change = explanation.repair
    assert change is not None
    (other,) = change.replacements
    assert (other.source, other.lag, other.seconds) == (3, 5, 5.0)
    assert (other.event, other.by) == ("event 2", "event 5")  # tokens 6 and 9
    assert change.surprisal < 0.1
    said = "\n".join(what_if(explanation))
    assert "It would have been normal, 0.0 bits (limit 1.4), if one event before it had" in said
    assert "5 events before" in said


@pytest.mark.parametrize("seed", range(2))
def test_each_replacement_is_needed_and_all_together_are_enough(
    make_random: Make, make_alert: Alerts, seed: int
) -> None:
    model = make_random(seed=seed)
    observed = int(run(model.weights.astype(np.float64), np.array(TOKENS)).logits[-1, 4:].argmin())
    tokens = (*TOKENS, 4 + observed)
    least = repair(window_of(model, make_alert(tokens)), -1.0, math.inf).surprisal
    limit = 0.9 * least + 0.1 * float(surprisals(model, tokens)[-1])

    change = repair(window_of(model, make_alert(tokens)), limit, math.inf)

    def left(replaced: list[tuple[int, str]]) -> float:
        other = list(tokens)
        for source, by in replaced:
            other[source] = model.vocabulary.names.index(by)
        return float(surprisals(model, tuple(other))[-1])

    replaced = [(each.source, each.by) for each in change.replacements]
    assert 1 <= len(replaced) <= 3
    assert left(replaced) == pytest.approx(change.surprisal)
    assert change.surprisal <= limit
    for source in range(len(replaced)):
        assert left(replaced[:source] + replaced[source + 1 :]) > limit


def replaced(model: SimpleNamespace, tokens: tuple[int, ...], change: Repair) -> tuple[int, ...]:
    other = list(tokens)
    for each in change.replacements:
        other[each.source] = model.vocabulary.names.index(each.by)
    return tuple(other)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_replacement_makes_another_event_odd_that_was_not(
    make_random: Make, make_alert: Alerts, seed: int
) -> None:
    model = make_random(seed=seed)
    observed = int(run(model.weights.astype(np.float64), np.array(TOKENS)).logits[-1, 4:].argmin())
    tokens = (*TOKENS, 4 + observed)
    window, was = window_of(model, make_alert(tokens)), surprisals(model, tokens)
    limit = float(was[-1]) - 0.2
    careless = repair(window, limit, math.inf)
    would = surprisals(model, replaced(model, tokens, careless))
    odd = float(np.max(would[:-1] - 1e-6, where=would[:-1] > was[:-1], initial=-math.inf))

    change = repair(window, limit, odd)

    left = surprisals(model, replaced(model, tokens, change))
    assert careless.replacements
    assert change.replacements
    assert change.replacements != careless.replacements
    assert np.all(left[:-1] <= np.maximum(odd, was[:-1]) + 1e-9)
    assert left[-1] <= limit


def test_it_is_said_that_no_change_up_to_three_makes_it_normal(
    make_random: Make, make_alert: Alerts
) -> None:
    explanation = explain(make_random(), make_alert((*TOKENS, 5), limit=1e-3))

    assert explanation.repair is not None
    assert explanation.repair.replacements == ()
    assert "No change of up to three events" in "\n".join(what_if(explanation))


@pytest.mark.parametrize("n_layers", [0, 2])
def test_later_events_are_scored_as_in_the_stream_with_the_expected_event(
    make_random: Make, make_alert: Alerts, n_layers: int
) -> None:
    model = make_random(n_layers)
    tokens = (*TOKENS, 5)

    other = explain(model, make_alert(tokens), later=LATER).instead

    assert other is not None
    swapped = (*TOKENS, model.vocabulary.names.index(other.event), *LATER)
    before, after = surprisals(model, (*tokens, *LATER)), surprisals(model, swapped)
    seen = len(other.following)
    assert seen == (1 if n_layers == 0 else len(LATER))  # no further than it can matter
    at = len(TOKENS)
    assert [f.surprisal for f in other.following] == pytest.approx(before[at : at + seen])
    assert [f.instead for f in other.following] == pytest.approx(after[at : at + seen])
    assert other.surprisal == pytest.approx(after[at - 1])
    assert other.statistic == pytest.approx(max(after[at - 1 : at + seen]))
    assert other.raised == (other.statistic > 5.0)


def following(*surprisals: tuple[float, float]) -> Instead:
    events = (Following("e", at, *both) for at, both in enumerate(surprisals, start=1))
    return Instead("x", 0.5, 1.0, 5.0, tuple(events), 1.0, False)


def test_where_what_is_at_hand_does_not_say_why_it_is_odd_no_change_is_asked_for(
    make_random: Make, make_alert: Alerts
) -> None:
    alert = make_alert((*TOKENS[20:], 5), limit=50.0, statistic=51.0)

    assert explain(make_random(), alert).repair is None


def test_it_is_said_whether_what_came_after_goes_with_what_came() -> None:
    natural, caused = following((0.1, 9.0), (1.0, 1.0)), following((9.0, 0.1))

    assert after_words(natural).endswith(": 1, not 0. What came after goes with what came.")
    assert after_words(caused).endswith(": 0, not 1. What came after is odd because of it.")
    assert after_words(replace(caused, limit=math.inf)).endswith("by 0.1 bits, not 13.0.")
    assert after_words(following()) == "No later event of the stream is at hand."


def test_a_drift_is_summed_again_with_the_expected_event(
    make_random: Make, make_alert: Alerts
) -> None:
    model = make_random()
    tokens = (*TOKENS, 5)

    explanation = explain(model, make_alert(tokens, "drift", span=12, limit=0.0))

    other = explanation.instead
    assert other is not None
    swapped = list(tokens)
    swapped[explanation.span[0].index] = model.vocabulary.names.index(other.event)
    logits = run(model.weights.astype(np.float64), np.array(swapped[:-1])).logits
    excess = surprisal(logits, np.array(swapped[1:])) - entropy(logits) - 0.25
    cusum = 0.0
    for value in excess[-12:]:
        cusum = max(0.0, cusum + value)
    assert other.statistic == pytest.approx(cusum)
    assert other.raised == (cusum > 0.0)
    assert explanation.repair is None


def test_without_one_new_event_others_that_came_still_count(
    make_random: Make, make_alert: Alerts
) -> None:
    model = make_random()
    alert = make_alert((*TOKENS, NEW), "new", statistic=1.0, limit=0.5)

    alone, again = (explain(model, alert, later=later).instead for later in ((), (6, NEW)))

    assert alone is not None
    assert again is not None
    assert (alone.raised, again.raised) == (False, True)


def test_after_an_end_and_without_checks_nothing_is_asked(
    make_random: Make, make_alert: Alerts
) -> None:
    ended = explain(make_random(), make_alert((*TOKENS, END), "end"))
    unchecked = explain(make_random(), make_alert((*TOKENS, 5)), checks=False)

    assert ended.instead is None
    assert ended.repair is not None
    assert unchecked.instead is None
    assert unchecked.repair is None
    assert what_if(unchecked) == []


def test_nothing_before_is_asked_for_what_would_have_made_an_unseen_event_normal(
    make_random: Make, make_alert: Alerts
) -> None:
    found = explain(make_random(), make_alert((*TOKENS, NEW)))

    assert found.instead is not None
    assert found.repair is None
