"""What the terminal shows."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.alert_page import alert_page
from offscript.interpret.explain import explain
from offscript.interpret.explanation import Explanation
from offscript.interpret.sentence import sentence
from offscript.interpret.text import checked, path_shares, text
from offscript.interpret.words import ago, bits, chance, clean, clock, ordinal, percent
from offscript.model.alert import Alert
from offscript.model.vocabulary import END, NEW, START
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

REPEATED = (START, 7, 5, 6, 8, 10, 7, 5)


def test_the_first_sentence_says_it_all(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    shown = text(explain(make_model(induction), make_alert((*REPEATED, 9))))

    first = " ".join(shown.split("\n\n")[0].split())
    assert first.startswith("Expected `event 2` (100 %), saw `event 5` (")
    assert "1 in " in first
    assert "Surprise " in first
    assert "because of `event 2` 5 events before (13:46:35, 5 s earlier)" in first


def test_evidence_comes_with_raw_line_paths_and_check(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    shown = text(explain(make_model(induction), make_alert((*REPEATED, 9))))

    assert "raw line 3" in shown
    assert "L1H0 +" in shown
    assert "check confirmed: with other events in its place" in shown
    assert "L1H0 at the last event looked at 5 back with 100 %" in shown
    assert "The parts add up within" in shown


@pytest.mark.parametrize(
    ("rank", "ought"), [(1, "; it should have fallen"), (0, "; it should have risen")]
)
def test_a_failed_check_says_what_should_have_happened(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights, rank: int, ought: str
) -> None:
    attribution = explain(make_model(induction), make_alert((*REPEATED, 9))).attributions[0]
    piece = replace(attribution.evidence[0], rank=rank)
    check = piece.check
    assert check is not None

    assert ought not in checked(piece, check, attribution.total)
    failed = checked(piece, replace(check, verdict="failed"), attribution.total)
    assert failed.startswith("check failed: with other events in its place ")
    assert failed.endswith(ought)


def test_paths_that_brought_no_tenth_of_a_bit_are_not_named(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    attribution = explain(make_model(induction), make_alert((*REPEATED, 9))).attributions[0]
    piece = attribution.evidence[0]
    little = replace(piece.paths[0], name="L9H9", value=0.01)

    assert path_shares(replace(piece, paths=(piece.paths[0], little))).startswith("L1H0 +")
    assert "L9H9" not in path_shares(replace(piece, paths=(piece.paths[0], little)))
    assert path_shares(replace(piece, paths=(little,))) == "no path by much"


@pytest.mark.parametrize(
    ("detector", "observed", "said"),
    [
        ("end", END, "but the stream ended ("),
        ("new", NEW, "saw an event not seen in training ("),
    ],
)
def test_an_end_and_an_unseen_event_are_called_so(
    make_model: Make,
    make_alert: Callable[..., Alert],
    induction: Weights,
    detector: str,
    observed: int,
    said: str,
) -> None:
    shown = text(explain(make_model(induction), make_alert((*REPEATED, observed), detector)))

    assert said in " ".join(shown.split())
    assert "`<" not in shown


def test_counts_are_told_in_words(make_random: Make, make_alert: Callable[..., Alert]) -> None:
    model = make_random()
    normal = np.zeros((1, 12))
    normal[0, [4, 5, 6]] = (3, 1, 2)
    model.count_vectors = normal.astype(np.float32)
    counts = {4: 2, 6: 2, 9: 1}

    shown = text(explain(model, make_alert((*REPEATED, END), "counts", counts=counts)))

    said = " ".join(shown.split())
    assert "`event 0` came 2 times, 3 were expected" in said
    assert "`event 1` never came, 1 was expected" in said
    assert "`event 5` came once, none was expected" in said


def test_drift_is_told_by_its_worst_events(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    tokens = (START, *np.random.default_rng(0).integers(4, 12, size=25).tolist())

    shown = text(explain(make_random(), make_alert(tokens, "drift", span=20)))

    assert shown.startswith("Over 20 events this stream was ")
    assert "no longer at hand" not in shown
    assert "Excess by event" in shown
    assert "12 other events" in shown


def test_a_span_is_told_by_its_own_length_and_by_what_of_it_is_at_hand(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    tokens = np.random.default_rng(0).integers(4, 12, size=9).tolist()
    model = make_random(window=4)  # a prediction depends on 7 tokens

    explanation = explain(model, make_alert(tokens, "drift", span=40, statistic=400.0))

    said = " ".join(sentence(explanation))
    assert said.startswith("Over 40 events this stream was 577.1 bits more surprising")
    at_hand = sum(part.value for part in explanation.span)
    left = f"{bits(400.0 - at_hand)} in events and context no longer at hand"
    assert f": {bits(at_hand)} in the 5 events at hand, {left}" in said
    assert "Largest at hand: `" in said
    earlier = replace(explanation, events=0, at_hand=0)  # as it comes from an earlier version
    assert sentence(earlier)[0].startswith("Over more than 5 events ")
    one = explain(model, make_alert((START, 5), "drift", span=1, statistic=1.0))
    assert sentence(one)[0].startswith("Over 1 event this")


@pytest.mark.parametrize("detector", ["drift", "level"])
def test_a_span_of_which_nothing_is_at_hand_is_told_without_its_parts(
    make_random: Make, make_alert: Callable[..., Alert], detector: str
) -> None:
    alert = make_alert((5, 6, 7), detector, span=40, statistic=4.0)

    explanation = explain(make_random(window=4), alert)

    assert explanation.completeness_error == 0.0
    shown = " ".join(text(explanation).split())
    assert "), all of it in events no longer at hand. " in shown
    assert "40 of the 40 events of the span are no longer at hand" in shown
    assert "), all of it in events no longer at hand." in alert_page(explanation)
    assert Explanation.from_json(explanation.to_json()) == explanation


def test_the_most_surprising_event_is_said_to_be_that_of_those_at_hand(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    tokens = tuple(np.random.default_rng(0).integers(4, 12, size=20).tolist())
    scores = {"event": 5.0, "counts": 4.0}

    def said(tokens: tuple[int, ...], span: int) -> str:
        alert = make_alert(tokens, "stream", scores=scores, span=span)
        return " ".join(sentence(explain(make_random(window=4), alert)))

    assert "Most surprising of the 13 events at hand was `" in said(tokens, 500)
    assert "Most surprising was `" in said((START, *tokens), 20)
    assert "Most surprising of what is at hand was `" in said(tokens[:5], 500)


def test_no_line_is_wider_than_96_and_nothing_obeys_the_log(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    model = make_model(induction)
    evil = "\x1b[2J" + "long " * 60 + "\r\u202e"
    names = list(model.vocabulary.names)
    names[6] = evil
    model.vocabulary = type(model.vocabulary)(tuple(names), model.vocabulary.counts)
    alert = make_alert((*REPEATED, 9), lines=(evil,) * 9, stream=evil, text=evil)

    shown = text(explain(model, alert))

    assert max(map(len, shown.splitlines())) <= 96
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_unknown_times_and_lines_are_left_out(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    alert = make_alert((*REPEATED, 9), times=(math.nan,) * 9, lines=(None,) * 9, time=math.nan)

    shown = text(explain(make_model(induction), alert))

    assert "5 events before;" in shown
    assert "nan" not in shown
    assert "None" not in shown


def test_numbers_are_rounded_to_what_is_worth_reading() -> None:
    assert percent(0.99999) == "100 %"
    assert percent(0.9312) == "93 %"
    assert percent(0.0213) == "2.1 %"
    assert percent(0.0004) == "0.04 %"
    assert percent(1e-9) == "< 0.01 %"
    assert chance(0.0004) == "0.04 %, 1 in 2,500"
    assert chance(1e-8) == "< 0.01 %, 1 in 1e+02 million"
    assert ordinal(11) == "11th"
    assert ordinal(22) == "22nd"
    assert ago(3.2) == "3.2 s earlier"
    assert ago(7200.0) == "2.0 h earlier"
    assert clock(1e300) == "t = 1e+300"
    assert clean("a\x00b\n") == "a·b"
