"""The card of a whole model: what it says of a trained one, and of one written by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest

import offscript.interpret
from offscript.interpret.card import Card
from offscript.interpret.card_page import card_page
from offscript.interpret.card_text import card_text
from offscript.interpret.naming import shortened
from offscript.interpret.reading import read_model
from offscript.interpret.roles import ROLES, repeated_windows
from offscript.interpret.sample import draw_windows
from offscript.interpret.skips import fit_skips
from offscript.model.errors import ModelError
from offscript.model.vocabulary import SPECIAL, Vocabulary
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

SUMMARY = {
    "streams": 40,
    "events": 640,
    "losses": {"decoder": 1.0, "control": 2.0, "ngram": 1.5},
    "ngram_order": 3,
    "folds": 0,
}
EVIL = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x1b[2J"


@pytest.fixture
def read(make_model: Make) -> Callable[[Weights], Card]:
    """The card of weights as if they had been trained on repeats."""

    def make(weights: Weights, **changes: Any) -> Card:
        model = make_model(weights)
        sequences = repeated_windows(np.arange(4, weights.d_vocab), 16, draws=40)
        windows = draw_windows(weights, sequences)
        reference = {**model.reference, **windows}
        model.reference = {**reference, **fit_skips(weights, reference, sequences)}
        model.summary, model.sha256 = SUMMARY, "0" * 64
        for name, value in changes.items():
            setattr(model, name, value)
        return read_model(model)

    return make


def test_an_induction_circuit_is_read_off_its_card(
    read: Callable[[Weights], Card], induction: Weights
) -> None:
    card = read(induction)

    roles = {head.name: head.role for head in card.heads}
    assert roles == {"L0H0": "previous", "L0H1": "mixed", "L1H0": "induction", "L1H1": "mixed"}
    assert card.work[0].name == "L1H0"
    strongest = card.compositions[0]
    assert (strongest.first, strongest.second, strongest.side) == ("L0H0", "L1H0", "K")
    assert strongest.matching == pytest.approx(1.0, abs=0.05)
    assert {(rule.kind, rule.last) for rule in card.rules} == {
        ("induction", f"event {index}") for index in range(8)
    }
    assert {head.event for rule in card.rules for head in rule.heads} == {"L1H0"}
    copying = card.heads[2]
    assert copying.copying == pytest.approx(1.0, abs=0.05)
    assert all(pair.row == pair.column for pair in copying.brings)
    below = [0.99, 0.9, 0.75, 0.5, 0.25, 0.1, 0.01]
    assert [each.below for each in copying.quantiles] == pytest.approx(below, abs=1e-3)
    assert copying.quantiles[0].ribbon.gain <= copying.moments[0].gain
    ribbon = copying.moments[0]
    assert ribbon.before[int(np.argmax(ribbon.read))] == ribbon.followed


def test_the_card_of_a_trained_model_says_what_training_showed(trained_card: Card) -> None:
    assert {work.name for work in trained_card.work} >= {"direct", "L0H0", "L1H3", "L0H3→L1H0"}
    direct = next(work for work in trained_card.work if work.name == "direct")
    assert direct.loss > 0.0
    for skip in trained_card.skips:
        assert 0 <= skip.support <= skip.chances
        assert 0.0 <= skip.expected <= 1.0
    assert all(not skip.support and skip.effect > 0.0 for skip in trained_card.phantoms)
    assert {each.following for each in trained_card.follows} <= set(trained_card.short) | {*SPECIAL}
    assert 0.0 < trained_card.groups_explain < 1.0
    assert len(trained_card.shown) == len(trained_card.shown_groups) == len(trained_card.direct)
    for head in trained_card.heads:
        assert set(head.on_windows) == set(ROLES)
        assert len(head.ov) == len(head.qk) == len(trained_card.shown)
    assert trained_card.compositions[0].score > 0.0


def test_a_card_is_json(trained_card: Card) -> None:
    value = json.loads(json.dumps(trained_card.to_json(), allow_nan=False))

    schema = (Path(offscript.interpret.__file__).parent / "card_schema.json").read_text()
    jsonschema.validate(value, json.loads(schema))
    assert value["heads"]


def test_the_terminal_reads_the_model_in_96_columns(trained_card: Card) -> None:
    shown = card_text(trained_card)

    assert shown.startswith("Model ")
    for title in (
        "What does the work",
        "Rules",
        "Heads",
        "Strongest skip-trigrams",
        "What it notices",
        "Known limits",
    ):
        assert title in shown
    assert max(map(len, shown.splitlines())) <= 96
    assert "nan" not in shown
    assert "<start>" not in shown


def test_the_page_is_whole_and_loads_nothing(trained_card: Card) -> None:
    html = card_page(trained_card)

    names = re.findall(r"<(\w+)", html)  # any other < is escaped
    assert not {"script", "img", "link", "a"} & set(names)
    assert names.count("h1") == 1
    assert names.count("caption") == names.count("table")
    assert names.count("desc") == html.count('role="img"')
    assert "default-src 'none'" in unescape(html)
    assert names.count("details") == len(trained_card.heads) + 1


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_names_stay_text_and_small_decoders_have_cards_too(
    read: Callable[..., Card], make_random: Make, n_layers: int
) -> None:
    weights = make_random(n_layers, d_vocab=8).weights
    names = Vocabulary((*SPECIAL, *(f"{EVIL} {index}" for index in range(4))), (1,) * 8)

    card = read(weights, vocabulary=names)

    for shown in (card_page(card), card_text(card)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<script" not in card_page(card)
    assert len(card.heads) == 3 * n_layers


def test_a_model_trained_by_an_earlier_version_is_refused(make_random: Make) -> None:
    model = make_random()
    model.summary, model.sha256 = SUMMARY, "0" * 64

    with pytest.raises(ModelError, match="held-out windows"):
        read_model(model)


def test_names_are_shortened_by_what_most_of_them_begin_with() -> None:
    names = ["db LOG: begin", "db LOG: begin work", "db LOG: commit", "db FATAL: gone", "begin"]

    short = shortened([*SPECIAL, *names])

    assert short == {
        "db LOG: begin": "db LOG: begin",  # there is another "begin"
        "db LOG: begin work": "begin work",
        "db LOG: commit": "commit",
        "db FATAL: gone": "FATAL: gone",
        "begin": "begin",
    }
