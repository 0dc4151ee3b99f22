"""An unseen event is told by what it is like, and by how many there were before it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.alert_page import alert_page
from offscript.interpret.explain import explain
from offscript.interpret.explanation import Explanation
from offscript.interpret.text import text
from offscript.interpret.unseen import Nearest, nearest, split_unseen
from offscript.interpret.unseen_text import differing
from offscript.model.alert import Alert
from offscript.model.vocabulary import NEW, SPECIAL, START, Vocabulary

Make = Callable[..., SimpleNamespace]

LINES = (
    "<*> Accepted password for <*> from <*> port <*> ssh<*>",
    "<*> Failed password for <*> from <*> port <*> ssh<*>",
    "<*> Connection closed by <*> [preauth]",
    "<*> session opened for user <*> by (uid=<*>)",
)
UNKNOWN = (
    "Dec 10 06:55:46 Failed password for invalid user webmaster from 173.2.9.1 port 38926 ssh2"
)


def test_the_known_events_that_share_most_words_are_nearest() -> None:
    found = nearest(UNKNOWN, (*SPECIAL, *LINES))

    assert [near.event for near in found] == [LINES[1], LINES[0], LINES[3]]
    assert found[0] == Nearest(
        event=LINES[1],
        alike=5 / 8,  # Failed password for from port; invalid user webmaster
        added=("invalid", "user", "webmaster"),
        left_out=(),
    )
    assert found[1].left_out == ("Accepted",)
    assert found[1].added == ("Failed", "invalid", "user", "webmaster")


def test_named_events_are_alike_by_the_words_in_their_names() -> None:
    names = (*SPECIAL, "UserLoginFailed", "user.logout", "OrderPlaced", "restart")

    found = nearest("UserLogin", names)

    assert [near.event for near in found] == ["UserLoginFailed", "user.logout"]
    assert found[0].left_out == ("Failed",)
    assert nearest("HTTPServer", (*SPECIAL, "http_server"))[0].alike == 1.0
    assert nearest("42", (*SPECIAL, "43")) == ()


def test_nothing_of_the_log_is_taken_for_a_beginning_or_an_end() -> None:
    assert nearest("start of the past: end of the new", SPECIAL) == ()


def test_the_difference_is_told_in_a_few_words() -> None:
    many = tuple("abcdefghij")

    assert differing(Nearest("x", 0.5, many, ())) == ["it adds a, b, c, d, e, f, g, h and 2 more"]
    assert differing(Nearest("x", 0.5, ("a",), ("b",))) == ["it adds a", "it leaves out b"]
    assert differing(Nearest("x", 1.0, (), ())) == ["the same words, in another form"]


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_the_statistic_is_what_came_before_and_what_this_one_adds(count: int) -> None:
    unseen = split_unseen(math.log2(1 + count))

    assert unseen.count == count
    assert unseen.before == pytest.approx(math.log2(count))
    assert unseen.before + unseen.this == pytest.approx(math.log2(1 + count), abs=1e-12)


@pytest.fixture
def explanation(make_random: Make, make_alert: Callable[..., Alert]) -> Explanation:
    """Of the third unseen line of a stream."""
    model = make_random(d_vocab=len(SPECIAL) + len(LINES))
    model.vocabulary = Vocabulary((*SPECIAL, *LINES), (1,) * 8)
    alert = make_alert((START, 5, NEW, 4, 7, NEW), "new", text=UNKNOWN, statistic=2.0, limit=1.6)
    return explain(model, alert)


def test_an_alert_of_unseen_events_adds_up_to_its_statistic(explanation: Explanation) -> None:
    unseen = explanation.unseen

    assert unseen is not None
    assert unseen.count == 3
    assert unseen.before + unseen.this == pytest.approx(explanation.statistic, abs=1e-12)
    assert explanation.completeness_error <= 1e-9
    assert Explanation.from_json(json.loads(json.dumps(explanation.to_json()))) == explanation


def test_the_terminal_and_the_page_say_what_it_is_like_and_the_how_many_it_is(
    explanation: Explanation,
) -> None:
    shown, page = " ".join(text(explanation).split()), alert_page(explanation)

    assert "It is the 3rd unseen event that was counted here." in shown
    assert "log2(1 + their number) = 2.0 +1.6 ████████████ the 2 before it +0.4 ███ this" in shown
    assert f"62 % {LINES[1]} it adds invalid, user, webmaster" in shown
    assert "it adds invalid, user, webmaster" in page
    assert (
        "Unseen events of the stream, or of its block of time, log2(1 + their number) = 2.0" in page
    )


def test_a_known_event_has_no_nearest_and_no_count(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    tokens = (START, *np.random.default_rng(0).integers(4, 12, size=9).tolist())

    explanation = explain(make_random(), make_alert(tokens, text="event 1"))

    assert explanation.unseen is None
    assert explanation.attributions[0].nearest == ()
    assert "nearest" not in text(explanation)


def test_an_unseen_event_in_a_drift_is_told_by_its_own_line(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    lines = (None, "event 1", "odd event", "event 2")
    alert = make_alert((START, 5, NEW, 6), "drift", span=3, statistic=99.0, lines=lines)

    explanation = explain(make_random(), alert)

    (unseen,) = (a for a in explanation.attributions if a.index == 2)
    assert unseen.nearest[0].added == ("odd",)
