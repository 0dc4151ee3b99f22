"""Figures that stand alone: whole SVG files that need nothing else, and PNG files of them."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from offscript.interpret.alert_figures import alert_figures
from offscript.interpret.card import Card
from offscript.interpret.card_figures import card_figures
from offscript.interpret.drawing import Row, bars, summed_rows
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
    assert figures.keys() == {"work", "direct", "counted", "composition", *each}
    for figure in figures.values():
        stands_alone(figure)


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
