"""What is kept of a decoder that trains is what its card would say of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.ablation import ablate
from offscript.interpret.card import Card
from offscript.interpret.card_page import card_page
from offscript.interpret.card_text import card_text
from offscript.interpret.reading import read_model
from offscript.interpret.roles import repeated_windows
from offscript.interpret.stages import History, look, read_history
from offscript.interpret.stages_text import formed
from offscript.model.errors import ModelError
from offscript.model.folder import load_model
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def card(tiny_model: Path) -> Card:
    return read_model(load_model(tiny_model))


def test_a_look_at_an_induction_circuit_finds_its_heads(induction: Weights) -> None:
    windows = repeated_windows(np.arange(4, 12), induction.window)

    stage = look(induction, 7, windows, windows)

    heads = {head.name: head for head in stage.heads}
    assert stage.step == 7
    assert heads["L0H0"].on_repeats["previous"] == pytest.approx(1.0, abs=1e-6)
    assert heads["L1H0"].on_windows["induction"] == pytest.approx(1.0, abs=1e-2)
    assert heads["L1H0"].copying == pytest.approx(1.0, abs=0.05)
    assert formed(heads["L0H0"]) == "previous"
    assert formed(heads["L1H0"]) == "induction"
    for name, head in heads.items():
        lost = ablate(induction, windows, name, by="mean", into=["logits"])
        assert head.work == pytest.approx(lost.rise, abs=1e-9)
    # The first half of a window comes as it likes, the second half as the first did.
    assert 0.5 * math.log(12) < stage.loss < 0.75 * math.log(12)


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_a_history_is_read_as_it_was_written(make_random: Make, n_layers: int) -> None:
    weights = make_random(n_layers).weights.astype(np.float64)
    windows = repeated_windows(np.arange(4, 12), weights.window)
    history = History(70, None, tuple(look(weights, step, windows, []) for step in (0, 8)))

    again = read_history(json.loads(json.dumps(asdict(history), allow_nan=False)))

    assert again == history
    assert read_history({}) is None


def test_a_history_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=r"history\.json does not fit.*train again"):
        read_history({"stages": [{"step": 1}]})


def test_the_last_stage_has_what_the_card_says_of_the_finished_model(card: Card) -> None:
    assert card.history is not None
    first, last = card.history.stages[0], card.history.stages[-1]
    assert first.step == 0
    assert 0 < last.loss < first.loss
    assert last.loss == pytest.approx(card.loss, abs=0.1)  # of more events
    for stage, head in zip(last.heads, card.heads, strict=True):
        assert stage.name == head.name
        assert stage.on_windows["rest"] == pytest.approx(head.on_windows["rest"], abs=0.1)
        assert stage.copying == pytest.approx(head.copying, abs=0.1)


def test_text_and_page_show_how_the_model_formed_and_what_each_layer_buys(card: Card) -> None:
    compared = replace(card, loss_one_layer=0.99 * math.log(2.0))

    text, page = card_text(compared), card_page(compared)

    assert "1 layer 0.990, 2 layers" in text
    assert "As it trained, in bits" in text
    assert max(map(len, text.splitlines())) <= 96
    assert "How it formed" in page
    assert page.count('class="multiples"') == 5
    assert page.count("<polyline") == len(card.heads) * (1 + 4 + 4 + 1 + 1) + 1  # distance; …; loss


def test_a_model_of_an_earlier_version_is_shown_without_its_history(card: Card) -> None:
    earlier = replace(card, history=None, loss_one_layer=None)

    assert "As it trained" not in card_text(earlier)
    assert "no layers" in card_page(earlier)  # the bigram control is known all the same
