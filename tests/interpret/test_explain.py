"""Explanations add up, find planted causes, and survive odd input."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest

import offscript.interpret
from offscript.interpret.activations import run
from offscript.interpret.attribute import listed
from offscript.interpret.directions import Direction, base_rate, headline, surprisal
from offscript.interpret.explain import explain
from offscript.interpret.paths import Paths, expand
from offscript.interpret.reference import Reference, read_reference
from offscript.model.alert import Alert
from offscript.model.errors import InputError
from offscript.model.vocabulary import END, NEW, PAST, START
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

TOKENS = (START, *np.random.default_rng(7).integers(4, 12, size=30).tolist())
SCHEMA = json.loads((Path(offscript.interpret.__file__).parent / "schema.json").read_text())


def reference_of(model: SimpleNamespace) -> Reference:
    return read_reference(model.reference, model.weights.astype(np.float64))


def along(model: SimpleNamespace, direction: Direction, tokens: tuple[int, ...] = TOKENS) -> Paths:
    """All paths into the prediction after these tokens, along a direction."""
    weights = model.weights.astype(np.float64)
    activations = run(weights, np.array(tokens))
    return expand(weights, activations, direction.w[None], reference_of(model))


def logits_after(model: SimpleNamespace, tokens: tuple[int, ...]) -> np.ndarray:
    return np.asarray(run(model.weights.astype(np.float64), np.array(tokens)).logits[-1])


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize(("detector", "observed"), [("event", 5), ("end", END), ("new", NEW)])
def test_an_explanation_adds_up_to_the_log_odds_against_what_was_expected(
    make_random: Make, make_alert: Callable[..., Alert], n_layers: int, detector: str, observed: int
) -> None:
    model = make_random(n_layers)
    alert = make_alert((*TOKENS, observed), detector)

    explanation = explain(model, alert)

    (attribution,) = explanation.attributions
    logits = logits_after(model, TOKENS)
    p = np.exp(logits) / np.exp(logits).sum()
    against = [model.vocabulary.names.index(name) for name in attribution.against]
    assert explanation.total == pytest.approx(np.log(p[against].sum() / p[observed]), abs=1e-9)
    assert sum(term.value for term in attribution.terms) == pytest.approx(
        explanation.total, abs=1e-9
    )
    parts = attribution.base + attribution.others + sum(e.value for e in attribution.evidence)
    assert parts == pytest.approx(explanation.total, abs=1e-9)
    assert explanation.completeness_error <= 1e-9
    assert attribution.observed.probability == pytest.approx(p[observed])


def test_the_surprise_splits_into_base_rate_last_event_and_evidence(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()

    attribution = explain(model, make_alert((*TOKENS, 5))).attributions[0]

    surprise = attribution.surprise
    expected = surprisal(logits_after(model, TOKENS)[None], np.array([5]))[0]
    assert surprise.surprisal == pytest.approx(expected)
    assert surprise.anywhere == pytest.approx(-np.log(attribution.observed.base_rate))
    total = surprise.anywhere + surprise.last + surprise.evidence
    assert total == pytest.approx(surprise.surprisal, abs=1e-9)
    rates = np.log(reference_of(model).base_rates())
    paths = along(model, base_rate(rates, logits_after(model, TOKENS), 5))
    before = paths.evidence[0, :, :-1].sum() + paths.resting[0].sum()
    assert surprise.evidence == pytest.approx(before, abs=1e-9)


def test_the_last_event_is_told_with_its_direct_path(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    few = TOKENS[:3]
    logits = logits_after(model, few)
    pieces = 0

    for observed in range(4, 12):
        (attribution,) = explain(model, make_alert((*few, observed))).attributions
        paths = along(model, headline(logits, observed), few)
        for piece in attribution.evidence:
            if piece.lag == 1 and abs(paths.direct[0]) > 0.01:
                brought = paths.evidence[0, :, -1].sum() + paths.direct[0]
                assert piece.value == pytest.approx(brought, abs=1e-9)
                pieces += 1

    assert pieces > 2


@pytest.mark.parametrize(
    ("by_source", "total", "expected"),
    [
        ([10.0, -0.99], 10.0, [0]),
        ([10.0, -1.01], 10.0, [0, 1]),
        ([10.0, -1.01, -2.0], 10.0, [0, 2]),
        ([10.0, -0.5], 1.0, [0]),
        ([1.0, -0.5], 10.0, [0]),
        ([0.29, 10.0, 0.31], 10.0, [1, 2]),
        ([0.0, 0.0], 0.0, []),
    ],
)
def test_the_strongest_against_is_listed_from_a_tenth_of_the_total_or_the_largest_part_on(
    by_source: list[float], total: float, expected: list[int]
) -> None:
    assert listed(np.array(by_source), total) == expected


def test_the_gap_is_what_float32_serving_differs_by(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    exact = surprisal(logits_after(model, TOKENS)[None], np.array([5]))[0]

    explanation = explain(model, make_alert((*TOKENS, 5), surprisal=exact - 1e-4))

    assert explanation.gap == pytest.approx(1e-4, abs=1e-9)


def test_the_evidence_of_an_induction_circuit_is_the_copied_event(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    # "5 then 6" came before; 5 comes again, and then 9 instead of 6.
    alert = make_alert((START, 7, 5, 6, 8, 10, 7, 5, 9))

    explanation = explain(make_model(induction), alert)

    (attribution,) = explanation.attributions
    assert attribution.against == ("event 2",)  # token 6
    first = attribution.evidence[0]
    assert (first.source, first.lag, first.event) == (3, 5, "event 2")
    assert first.seconds == 5.0
    assert first.line == "raw line 3"
    assert first.paths[0].name == "L1H0"
    assert first.paths[0].looks[0].attention == pytest.approx(1.0, abs=1e-6)
    assert first.value == pytest.approx(explanation.total, rel=0.1)
    assert first.check is not None
    assert first.check.verdict == "confirmed"
    assert first.check.effect == pytest.approx(explanation.total, rel=0.3)


def test_a_virtual_head_is_credited_with_the_event_that_its_first_head_read(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    # L1H1 looks two back, and predicts what L0H0 had brought there: the event three back.
    rho, W_V, W_O = (a.copy() for a in (induction.rho, induction.W_V, induction.W_O))
    W_V[1], W_O[1] = 0.0, 0.0
    rho[1, 1, 2] = 60.0
    W_V[1, 1, 12:24] = np.eye(12)
    W_O[1, 1, :, 24:] = 12.0 * np.eye(12)
    model = make_model(dataclasses.replace(induction, rho=rho, W_V=W_V, W_O=W_O))

    explanation = explain(model, make_alert((START, 7, 5, 6, 8, 10, 9)))

    first = explanation.attributions[0].evidence[0]
    assert (first.event, first.lag) == ("event 1", 4)  # token 5
    assert (first.paths[0].name, first.paths[0].via) == ("L0H0→L1H1", 3)
    assert [look.head for look in first.paths[0].looks] == ["L1H1", "L0H0"]
    assert first.paths[0].looks[0].distance == 60.0


def test_a_streams_score_is_split_over_detectors_and_shows_its_most_surprising_event(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    logits = run(model.weights.astype(np.float64), np.array(TOKENS)).logits
    surprisals = surprisal(logits, np.array((*TOKENS[1:], END)))
    scores = {"counts": 6.0, "event": 2.5, "drift": 6.0}

    alert = make_alert((*TOKENS, END), "stream", scores=scores, statistic=8.84)
    explanation = explain(model, alert)

    assert explanation.total == pytest.approx(math.sqrt(36.0 + 6.25 + 36.0))
    assert [part.detector for part in explanation.parts] == ["counts", "drift", "event"]
    assert sum(part.value for part in explanation.parts) == pytest.approx(explanation.total)
    assert explanation.completeness_error <= 1e-9
    assert explanation.attributions[0].index == int(surprisals.argmax()) + 1


def test_counts_add_up_to_the_distance_and_say_which_counts_differ(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    normal = np.zeros((2, 12))
    normal[0, [4, 5, 6]] = (3, 1, 2)
    normal[1, [9]] = 1
    model.count_vectors = normal.astype(np.float32)
    counts = {4: 2, 5: 1, 6: 2}
    u, v = np.array([2, 1, 2]) / 5.0, np.array([3, 1, 2]) / 6.0
    u, v = u ** (1 / 8), v ** (1 / 8)
    distance = 1.0 - u @ v / np.sqrt(u @ u * (v @ v))

    alert = make_alert((*TOKENS, END), "counts", counts=counts, statistic=distance)
    explanation = explain(model, alert)

    assert explanation.total == pytest.approx(distance, abs=1e-7)
    assert sum(part.value for part in explanation.counts) == pytest.approx(
        explanation.total, abs=1e-12
    )
    first = explanation.counts[0]
    assert (first.event, first.count, first.expected) == ("event 0", 2, 3.0)


def test_expected_counts_are_scaled_to_the_streams_own_length(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    normal = np.zeros((1, 12))
    normal[0, [4, 5, 6]] = (3, 1, 2)
    model.count_vectors = normal.astype(np.float32)

    counts = {4: 30, 5: 1, 6: 21}
    explanation = explain(model, make_alert((*TOKENS, END), "counts", counts=counts))

    expected = {part.event: part.expected for part in explanation.counts}
    assert expected == {"event 0": 30.0, "event 1": 10.0, "event 2": 20.0}


@pytest.mark.parametrize(
    ("detector", "changes"),
    [
        ("event", {}),
        ("end", {}),
        ("new", {"text": "an \x1b[31munseen\x1b[0m line"}),
        ("drift", {"span": 9}),
        ("drift", {"span": 99}),
        ("level", {"span": 31}),
        ("stream", {"scores": {"event": 5.0, "counts": 4.0}}),
        ("counts", {"counts": {4: 2, 7: 3}}),
    ],
)
def test_every_detectors_explanation_fits_the_schema(
    make_random: Make, make_alert: Callable[..., Alert], detector: str, changes: dict[str, Any]
) -> None:
    model = make_random()
    model.count_vectors = np.eye(12, dtype=np.float32)[4:]
    observed = {"end": END, "new": NEW, "counts": END, "level": END, "stream": END}.get(detector, 5)

    value = explain(model, make_alert((*TOKENS, observed), detector, **changes)).to_json()

    json.dumps(value, allow_nan=False)
    jsonschema.validate(value, SCHEMA)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("first", [START, PAST])
def test_a_stream_of_one_event_is_explained_by_its_beginning(
    make_random: Make, make_alert: Callable[..., Alert], n_layers: int, first: int
) -> None:
    alert = make_alert((first, 5), times=(math.nan,) * 2, lines=(None,) * 2, time=math.nan)

    explanation = explain(make_random(n_layers), alert)

    assert explanation.completeness_error <= 1e-9
    assert {e.event for e in explanation.attributions[0].evidence} <= {"<start>", "<past>"}


def test_a_vocabulary_of_one_event_is_explained(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random(d_vocab=5)

    for observed, detector in ((4, "event"), (NEW, "new"), (END, "end")):
        explanation = explain(model, make_alert((START, 4, 4, observed), detector))

        assert explanation.completeness_error <= 1e-9


def test_a_window_cut_short_is_said(make_random: Make, make_alert: Callable[..., Alert]) -> None:
    model = make_random(window=16)

    explanation = explain(model, make_alert(TOKENS[5:20]))

    assert any("at hand" in warning for warning in explanation.warnings)


def test_checks_can_be_left_out(make_random: Make, make_alert: Callable[..., Alert]) -> None:
    explanation = explain(make_random(), make_alert((*TOKENS, 5)), checks=False)

    assert all(e.check is None for e in explanation.attributions[0].evidence)


def test_an_alert_of_another_model_is_refused_in_one_clear_line(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    with pytest.raises(InputError, match="token 40, the model's vocabulary has 12"):
        explain(make_random(), make_alert((*TOKENS, 40)))
    with pytest.raises(InputError, match="no count vectors"):
        explain(make_random(), make_alert((*TOKENS, END), "counts", counts={4: 1}))
    with pytest.raises(InputError, match="at least one before it"):
        explain(make_random(), make_alert((5,)))
