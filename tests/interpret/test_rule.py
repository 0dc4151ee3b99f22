"""How a user names heads, events and rules, and what is said of names that do not fit."""

from __future__ import annotations

import pytest

from offscript.interpret.rule import event_named, head_named, pair_named, rule_named
from offscript.model.config import DecoderConfig
from offscript.model.errors import InputError
from offscript.model.vocabulary import END, SPECIAL, Vocabulary
from offscript.model.weights import random_weights

NAMES = (
    "app: login ok for <*>",
    "app: login failed for <*>",
    "app: move a -> b",
    "app: log\x1bout",
    "app: failed",
    "other",
)
VOCABULARY = Vocabulary((*SPECIAL, *NAMES), (1,) * (len(SPECIAL) + len(NAMES)))
WEIGHTS = random_weights(DecoderConfig(len(VOCABULARY), 2, 8, 3, 4, window=4), seed=0)


def token(name: str) -> int:
    return VOCABULARY.names.index(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("app: login ok for <*>", "app: login ok for <*>"),
        ("login ok for <*>", "app: login ok for <*>"),
        (" login ok… ", "app: login ok for <*>"),
        ("failed", "app: failed"),
        ("log·out", "app: log\x1bout"),
        ("the stream's end", "<end>"),
        ("<end>", "<end>"),
    ],
)
def test_an_event_is_named_in_full_as_shown_or_by_a_part(text: str, name: str) -> None:
    assert event_named(VOCABULARY, text) == token(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("login", r"2 events have 'login' in their names .*; give more"),
        ("logn ok", r"no event is called 'logn ok', the nearest is 'login ok for <\*>'"),
        ("", r"no event is called ''"),
    ],
)
def test_a_name_that_is_not_clear_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        event_named(VOCABULARY, text)


def test_a_name_may_have_an_arrow_in_it() -> None:
    assert pair_named(VOCABULARY, "move a -> b -> <end>") == (token("app: move a -> b"), END)
    assert pair_named(VOCABULARY, "<end> → move a -> b") == (END, token("app: move a -> b"))
    with pytest.raises(InputError, match="expected 'event -> event', got 'other'"):
        pair_named(VOCABULARY, "other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("L2H0", "expected a head from L0H0 to L1H2, got 'L2H0'"),
        ("L0H3", "expected a head from L0H0 to L1H2"),
        ("head 1", "expected a head from L0H0 to L1H2"),
        ("L0H1->L1H2", "L0H1→L1H2 has no weights of its own"),
    ],
)
def test_a_head_that_is_not_there_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        head_named(WEIGHTS, text)


def test_a_rule_names_its_head_and_its_events() -> None:
    found = rule_named(WEIGHTS, VOCABULARY, "L1H2: other -> app: failed")

    assert found == ((1, 2), (token("other"), None, token("app: failed")))


def test_a_rule_may_name_the_event_after_which_alone_it_is_meant() -> None:
    for gap in ("…", "..."):
        found = rule_named(WEIGHTS, VOCABULARY, f"L1H2: other {gap} login ok -> app: failed")

        events = ("other", "app: login ok for <*>", "app: failed")
        assert found == ((1, 2), tuple(map(token, events)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("other -> failed", "expected 'L0H2: earlier -> next'"),
        ("app: other -> failed", "expected 'L0H2: earlier -> next'"),
        ("L0H1→L1H0: other -> failed", "no weights of its own"),
        ("L0H1: other … nothing such -> failed", "no event is called 'nothing such'"),
        ("L7H1: other -> failed", "expected a head from"),
    ],
)
def test_a_rule_that_no_head_holds_alone_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rule_named(WEIGHTS, VOCABULARY, text)


def test_a_model_without_heads_says_so() -> None:
    weights = random_weights(DecoderConfig(len(VOCABULARY), 0, 8, 1, 4, window=4), seed=0)

    with pytest.raises(InputError, match="no heads"):
        head_named(weights, "L0H0")


GAPS = ("Starting daemon ... please wait", "please wait", "Starting daemon", "got lock")
GAPPED = Vocabulary((*SPECIAL, *GAPS), (1,) * (len(SPECIAL) + len(GAPS)))


@pytest.mark.parametrize(
    ("rule", "events"),
    [
        ("Starting daemon ... please wait -> got lock", (GAPS[0], None, "got lock")),
        ("Starting daemon … please wait -> got lock", ("Starting daemon", GAPS[1], "got lock")),
        ("got lock … Starting daemon ... please wait -> got lock", (GAPS[3], GAPS[0], GAPS[3])),
    ],
)
def test_a_name_with_a_gap_in_it_is_meant_before_two_without(
    rule: str, events: tuple[str | None, ...]
) -> None:
    weights = random_weights(DecoderConfig(len(GAPPED), 2, 8, 3, 4, window=4), seed=0)

    _, found = rule_named(weights, GAPPED, f"L0H1: {rule}")

    assert [each if each is None else GAPPED.names[each] for each in found] == list(events)
