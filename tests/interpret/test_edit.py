"""An edit as it is asked for: what it predicts, what it does, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.edit import Wish, attend_as, edit
from offscript.interpret.edit_text import edit_text
from offscript.model.errors import InputError
from offscript.model.vocabulary import START
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]


@pytest.fixture
def model(make_kept: Make, induction: Weights) -> SimpleNamespace:
    """The network that repeats what it has seen."""
    return make_kept(induction)


def test_heads_that_look_where_they_did_give_the_same_logits(induction: Weights) -> None:
    tokens = np.array([START, 5, 6, 7, 5, 6])
    activations = run(induction, tokens)

    assert attend_as(induction, activations) == pytest.approx(activations.logits)


def test_a_head_that_others_find_their_place_by_costs_more_than_it_writes(
    model: SimpleNamespace,
) -> None:
    _, done = edit(model, Wish("head", "L0H0"))

    assert done.path == "L0H0"
    assert done.entry is None
    assert not done.aside
    assert done.elsewhere is None
    assert done.predicted == pytest.approx(done.loss)  # it writes nothing that an outcome reads
    assert abs(done.measured - done.loss) > 0.05  # yet without it L1H0 looks elsewhere


def test_a_rule_is_told_before_and_after_and_with_what_else_moved(model: SimpleNamespace) -> None:
    weights, done = edit(model, Wish("rule", "L1H0: event 2 -> event 2", 0.5))

    assert weights.W_V.dtype == np.float32
    assert done.entry is not None
    assert (done.entry.row, done.entry.column) == ("event 2", "event 2")
    assert done.entry.after == pytest.approx(done.entry.before / 2.0, abs=1e-4)
    assert done.elsewhere is not None
    assert done.there > 10.0 * done.elsewhere
    assert done.measured == pytest.approx(done.predicted)  # nothing looks for what L1H0 writes
    assert all(
        (each.table, each.row, each.column) != ("L1H0", "event 2", "event 2") for each in done.aside
    )


def test_a_skip_trigram_is_told_with_what_goes_with_it(model: SimpleNamespace) -> None:
    # "2" is looked back at from "4" where "4" came right before it.
    _, done = edit(model, Wish("rule", "L1H0: event 2 … event 4 -> event 2", 0.5))

    assert done.entry is not None
    assert (done.entry.row, done.entry.last, done.entry.column) == ("event 2", "event 4", "event 2")
    assert done.entry.after == pytest.approx(done.entry.before / 2.0, rel=1e-4)
    assert done.elsewhere is not None
    assert done.there > 10.0 * done.elsewhere
    assert done.measured == pytest.approx(done.predicted)  # nothing looks for what L1H0 writes
    assert {each.last for each in done.aside} == {"event 4"}
    shown = edit_text(done, {})
    assert "  event 2 … event 4 → event 2\n" in shown
    assert " predicted (other heads look where they did), " in shown
    assert max(map(len, shown.splitlines())) <= 96


def test_an_edit_is_told_in_96_columns(model: SimpleNamespace) -> None:
    _, done = edit(model, Wish("rule", "L1H0: event 2 -> event 2"))

    shown = edit_text(done, {"event 2": "a\x1b[2J" * 40})

    assert shown.startswith("one entry of L1H0 removed\n")
    assert max(map(len, shown.splitlines())) <= 96
    assert "\x1b" not in shown


@pytest.mark.parametrize("by", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(by: float) -> None:
    with pytest.raises(InputError, match="expected a share above 0 and up to 1, got"):
        Wish("head", "L0H0", by)
