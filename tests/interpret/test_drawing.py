"""Figures that stand alone: whole SVG files that need nothing else, and PNG files of them."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from offscript.interpret.alert_figures import alert_figures
from offscript.interpret.card import Card
from offscript.interpret.card_figures import card_figures
from offscript.interpret.card_text import rule_grounds
from offscript.interpret.charts import curves
from offscript.interpret.drawing import Row, bars, multiples, summed_rows
from offscript.interpret.explain import explain
from offscript.interpret.figure_files import write_figures
from offscript.interpret.markup import tag
from offscript.model.alert import Alert
from offscript.model.vocabulary import END, START

Make = Callable[..., SimpleNamespace]

SVG = "{http://www.w3.org/2000/svg}"
TOKENS = (START, *np.random.default_rng(7).integers(4, 12, size=30).tolist())
EVENT = {"evidence", "surprise", "expected", "total", "paths"}
DETECTORS: dict[str, tuple[int, dict[str, Any], set[str]]] = {
    "event": (5, {}, EVENT),
    "drift": (
        5,
        {"span": 12},
        {"span", *(f"event-{n}-{name}" for n in (1, 2, 3) for name in EVENT)},
    ),
    "stream": (END, {"scores": {"event": 5.0, "counts": 4.0}}, {"detectors", *EVENT}),
    "counts": (END, {"counts": {4: 2, 7: 3}}, {"counts"}),
}


def stands_alone(figure: str) -> ET.Element:
    """The root element of a figure that needs nothing from outside."""
    root = ET.fromstring(figure)
    assert root.tag == f"{SVG}svg"
    assert float(root.attrib["width"]) > 0.0
    assert float(root.attrib["height"]) > 0.0
    assert "var(" not in figure
    assert not re.search(r"href|url\(|@import|<script|nan", figure)
    return root


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_figure_of_an_alert_stands_alone(
    make_random: Make, make_alert: Callable[..., Alert], detector: str
) -> None:
    model = make_random()
    model.count_vectors = np.eye(12, dtype=np.float32)[4:]
    observed, changes, names = DETECTORS[detector]

    figures = alert_figures(explain(model, make_alert((*TOKENS, observed), detector, **changes)))

    assert names <= figures.keys() <= {*names, "after"}
    for figure in figures.values():
        stands_alone(figure)


def test_every_figure_of_a_card_stands_alone(trained_card: Card) -> None:
    figures = card_figures(trained_card)

    heads = [head.name for head in trained_card.heads]
    each = {f"{name}-{what}" for name in heads for what in ("ov", "qk", "distance")}
    formed = {f"formed-{what}" for what in ("loss", "attention", "repeats", "copying", "work")}
    whole = {"work", "direct", "counted", "composition", "rules", "layers"}
    assert figures.keys() == {*whole, *formed, *each}
    for figure in figures.values():
        stands_alone(figure)


def test_the_figure_of_rules_has_a_bar_and_the_grounds_of_each(trained_card: Card) -> None:
    root = stands_alone(card_figures(trained_card)["rules"])

    said = " ".join(element.text or "" for element in root.iter(f"{SVG}text"))
    shown = trained_card.rules[:24]
    assert shown
    assert all(rule_grounds(rule) in said for rule in shown)
    assert sum(element.get("class") == "bar" for element in root.iter(f"{SVG}svg")) == len(shown)


def test_a_model_of_an_earlier_version_has_no_figures_of_how_it_formed(trained_card: Card) -> None:
    figures = card_figures(replace(trained_card, history=None))

    assert not [name for name in figures if name.startswith("formed")]


def test_small_figures_stand_in_rows_of_four_and_none_over_another() -> None:
    chart = curves("t", "d", [0.0, 1.0], {"side-a": [0.0, 1.0]}, low=0.0, high=1.0)

    root = stands_alone(multiples("title", "about", [(f"head {n} " * 9, chart) for n in range(6)]))

    boxes = [
        [float(element.attrib[side]) for side in ("x", "y", "width", "height")]
        for element in root.iter(f"{SVG}svg")
        if "x" in element.attrib
    ]
    assert len(boxes) == 6
    assert len({x for x, *_ in boxes}) == 4
    for x, y, width, height in boxes:
        under = [b for b in boxes if b[1] > y]
        assert all(b[1] > y + height for b in under)
        beside = [b for b in boxes if b[1] == y and b[0] > x]
        assert all(b[0] > x + width for b in beside)


def test_a_log_cannot_break_a_figure() -> None:
    evil = "</text><script>f()</script>\x1b[2J & \"'"

    root = stands_alone(
        bars(evil, "about", [Row(evil, 0.0, 1.0, "1"), Row(tag("b", "<"), 0, 1, "")])
    )

    said = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert said[2].startswith("</text><script>f()</script>·[2J & \"'")
    assert said[4] == "<"


def test_rows_that_add_up_begin_where_the_last_one_ended() -> None:
    rows = summed_rows([("a", 4.0), ("b", -1.0)], ("Total", 3.0))

    assert [(row.begin, row.end) for row in rows] == [(0.0, 4.0), (4.0, 3.0), (0.0, 3.0)]


def test_figures_are_written_as_svg_and_twice_as_large_as_png(tmp_path: Path) -> None:
    figure = bars("title", "about", [Row("name", 0.0, 1.0, "1")])

    said = write_figures(tmp_path / "new", {"one": figure})

    assert said == f"1 figures written to {tmp_path / 'new'}, as SVG and PNG"
    assert (tmp_path / "new" / "one.svg").read_text() == figure
    png = (tmp_path / "new" / "one.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 2 * 760


def test_without_resvg_there_is_svg_and_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "resvg_py":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)

    said = write_figures(tmp_path, {"one": "<svg/>"})

    assert said.endswith("as SVG alone; for PNG too run: pip install 'offscript[figures]'")
    assert [path.name for path in tmp_path.iterdir()] == ["one.svg"]
