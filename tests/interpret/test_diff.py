"""Two models compared: what one holds that the other does not, by the names of events."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest

import offscript.interpret
from offscript.interpret.diff import Change, diff
from offscript.interpret.diff_page import diff_page
from offscript.interpret.diff_text import diff_text
from offscript.interpret.markup import tag
from offscript.interpret.words import signed
from offscript.model.vocabulary import SPECIAL, Vocabulary
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]


@pytest.fixture
def model(make_kept: Make, induction: Weights) -> SimpleNamespace:
    """The network that repeats what it has seen."""
    return make_kept(induction)


def changed(model: SimpleNamespace, weights: Weights) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(model), "weights": weights, "sha256": "1" * 64})


def test_a_model_does_not_differ_from_itself(model: SimpleNamespace) -> None:
    found = diff(model, model)

    assert not found.lost + found.new + found.bigrams + found.skips
    assert found.windows == 12
    for pair in found.heads:
        assert pair.role_before == pair.role_after
        assert pair.loss_before == pair.loss_after
    # Two of its heads bring nothing.
    assert [round(pair.alike, 6) for pair in found.heads if pair.before == "L1H0"] == [1.0]


def test_a_bigram_that_was_put_in_has_appeared(model: SimpleNamespace) -> None:
    w = model.weights
    W_U = w.W_U.copy()
    W_U[:, 9] += 5.0 * w.W_E[6]

    found = diff(model, changed(model, replace(w, W_U=W_U)))
    back = diff(changed(model, replace(w, W_U=W_U)), model)

    first = found.bigrams[0]
    assert (first.kind, first.last, first.following) == ("appeared", "event 2", "event 5")
    assert first.after - first.before == pytest.approx(5.0, rel=0.2)
    assert back.bigrams[0].kind == "vanished"


def test_a_head_that_moved_to_another_place_is_found_there(model: SimpleNamespace) -> None:
    w = model.weights
    names = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "rho", "sink")
    turned = {name: getattr(w, name)[:, ::-1] for name in names}

    found = diff(model, changed(model, replace(w, **turned)))

    pairs = {pair.before: pair for pair in found.heads}
    assert pairs["L1H0"].after == "L1H1"
    assert pairs["L1H0"].role_after == pairs["L1H0"].role_before == "induction"
    assert not found.skips


def test_a_head_that_brings_the_opposite_turns_its_skip_trigrams(model: SimpleNamespace) -> None:
    w = model.weights

    found = diff(
        model, changed(model, replace(w, W_O=-w.W_O * np.array([1, -1])[:, None, None, None]))
    )
    opposite = diff(
        model, changed(model, replace(w, W_O=w.W_O * np.array([1, -1])[:, None, None, None]))
    )

    assert not found.bigrams
    assert opposite.skips
    for change in opposite.skips:
        assert change.kind == "turned"
        assert change.before == pytest.approx(-change.after)
        assert change.support_before == change.support_after


def test_events_are_matched_by_name_wherever_they_stand(model: SimpleNamespace) -> None:
    w = model.weights
    special = np.arange(len(SPECIAL))
    order = np.array([*special, *range(11, 3, -1)])
    names = model.vocabulary.names
    other = changed(model, replace(w, W_E=w.W_E[order], W_U=w.W_U[:, order], b_U=w.b_U[order]))
    other.vocabulary = Vocabulary(tuple(names[at] for at in order), (1,) * 12)
    place = np.argsort(order)
    other.reference = {
        **model.reference,
        "windows": place[model.reference["windows"]].astype(np.int32),
        "skips": place[model.reference["skips"]],
        "last": model.reference["last"][order],
        "outcomes": model.reference["outcomes"][order],
        "means": model.reference["means"][order],
    }

    found = diff(model, other)

    assert not found.lost + found.new + found.bigrams + found.skips
    assert found.windows == 12


def test_events_that_one_model_lacks_are_told_first(model: SimpleNamespace) -> None:
    other = changed(model, model.weights)
    other.vocabulary = Vocabulary((*model.vocabulary.names[:-1], "evil\x1b[2J"), (1,) * 12)

    found = diff(model, other)
    shown = diff_text(found)

    assert (found.lost, found.new, found.shared) == (("event 7",), ("evil\x1b[2J",), 7)
    assert "lost  7" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 96
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    schema = (Path(offscript.interpret.__file__).parent / "diff_schema.json").read_text()
    jsonschema.validate(value, json.loads(schema))
    assert value["heads"]
    assert value["lost"] == ["event 7"]


def test_models_that_know_no_event_in_common_have_no_rules_to_compare(
    model: SimpleNamespace,
) -> None:
    other = changed(model, model.weights)
    strange = tuple(f"strange {at}" for at in range(8))
    other.vocabulary = Vocabulary((*SPECIAL, *strange), (1,) * 12)

    found = diff(model, other)

    assert not found.shared
    assert not found.heads + found.bigrams + found.skips
    assert "there are no rules to compare" in diff_text(found)


def test_the_page_shows_each_rule_that_differs_from_what_it_was_to_what_it_is(
    model: SimpleNamespace,
) -> None:
    w = model.weights
    W_U = w.W_U.copy()
    W_U[:, 9] += 5.0 * w.W_E[6]
    other = changed(model, replace(w, W_U=W_U))
    other.vocabulary = Vocabulary((*model.vocabulary.names[:-1], "<script>f()</script>"), (1,) * 12)
    found = diff(model, other)

    page = diff_page(found, tag("section", "what alerts do"))

    first = found.bigrams[0]
    change = (
        f"<td>{signed(first.before)}</td><td>{signed(first.after)}</td>",
        f"<code>2</code> → <code>5</code><br><small>{first.kind}; in training",
    )
    assert all(part in page for part in change)
    assert page.count("</h2>") == 4  # events, heads, the direct path, skip-trigrams
    assert "Only to the first</dt><dd>1<" in page
    assert "<li><code>&lt;script&gt;f()&lt;/script&gt;</code></li>" in page
    assert "<script" not in page
    assert "<section>what alerts do</section>" in page
    assert "default-src &#x27;none&#x27;" in page


def test_the_page_says_that_there_is_nothing_to_compare(model: SimpleNamespace) -> None:
    other = changed(model, model.weights)
    strange = tuple(f"strange {at}" for at in range(8))
    same = diff_page(diff(model, other), tag("section"))
    other.vocabulary = Vocabulary((*SPECIAL, *strange), (1,) * 12)

    page = diff_page(diff(model, other), tag("section"))

    assert "there are no rules to compare" in page
    assert "No rule of the direct path or of the heads differs by a bit" in same
    assert same.count("None differs by a bit.") == 2


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (0.1, 2.0, "appeared"),
        (-2.0, 0.1, "vanished"),
        (-2.0, 2.0, "turned"),
        (1.0, 2.0, "stronger"),
        (-2.0, -1.0, "weaker"),
    ],
)
def test_what_became_of_a_rule_is_one_word(before: float, after: float, kind: str) -> None:
    assert Change(None, "a", "b", before, after, 0, 0).kind == kind
