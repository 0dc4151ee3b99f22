"""Figures draw what they are given, to scale."""

from __future__ import annotations

import re

import pytest

from offscript.interpret.charts import curve, curves, heads_on_heads, heat_map
from offscript.interpret.svg import Node, arcs, strip


def attributes(figure: str, element: str, name: str) -> list[str]:
    return re.findall(rf'<{element}\b[^>]*? {name}="([^"]*)"', figure)


def test_an_arc_is_as_thick_as_its_event_contributes_and_marked_if_it_speaks_against() -> None:
    nodes = [Node(3.0, 4.0), Node(2.0, None), Node(3.0, -2.0), Node(3.0, None)]

    figure = arcs("title", "description", nodes, 3, 5.0)

    assert attributes(figure, "path", "class") == ["arc for", "arc against"]
    widths = [float(width) for width in attributes(figure, "path", "stroke-width")]
    assert widths == [10.0, 5.5]
    assert attributes(figure, "svg", "viewBox") == ["0 0 80 176"]  # 11 em high
    ends = [float(path.split()[-1]) for path in attributes(figure, "path", "d")]
    assert ends == [16.0 * 9.5] * 2  # the middle of the target's row


def test_a_strip_has_a_bar_for_every_value_and_marks_those_told() -> None:
    figure = strip("title", "description", [1.0, -2.0, 4.0], [2])

    assert attributes(figure, "rect", "class") == ["for pale", "against pale", "for"]
    heights = [float(height) for height in attributes(figure, "rect", "height")]
    assert heights == [pytest.approx(h) for h in (12.0, 24.0, 48.0)]


def test_a_heat_map_shades_cells_by_size_and_colours_them_by_sign() -> None:
    figure = heat_map("title", "words", [[4.0, 0.0], [-1.0, 9.0]], [0, 1], largest=4.0)

    assert attributes(figure, "path", "class") == ["against", "for"]
    assert attributes(figure, "path", "fill-opacity") == ["0.25", "1"]
    assert attributes(figure, "path", "d") == [
        "M34 44h10v10h-10z",
        "M34 34h10v10h-10zM44 44h10v10h-10z",
    ]
    assert attributes(figure, "rect", "class").count("group1") == 2


def test_a_curve_has_its_values_between_top_and_bottom() -> None:
    (points,) = attributes(curve("t", "d", [0.0, 2.0, -1.0], 1.0), "polyline", "points")

    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert places == [(5.0, 45.0), (120.0, 5.0), (235.0, 65.0)]


def test_curves_stand_on_the_scale_that_they_are_given_and_leave_out_what_is_unknown() -> None:
    lines: dict[str, list[float | None]] = {"side-a": [0.0, None, 1.0], "side-b": [0.5, 0.5, 0.5]}

    figure = curves("t", "d", [2.0, 3.0, 4.0], lines, low=0.0, high=1.0, level=0.25)

    assert attributes(figure, "polyline", "points") == [
        "3.0,67.0 157.0,3.0",
        "3.0,35.0 80.0,35.0 157.0,35.0",
    ]
    assert attributes(figure, "polyline", "class") == ["curve side-a", "curve side-b"]
    assert attributes(figure, "line", "y1") == ["67", "51"]


def test_heads_are_linked_by_what_they_read() -> None:
    figure = heads_on_heads("t", "d", ["L0H0"], ["L1H0"], [("L0H0", "L1H0", "K", 0.5)])

    assert attributes(figure, "path", "class") == ["link side-b"]
    assert attributes(figure, "path", "stroke-width") == ["7"]
    assert "<desc>d</desc>" in figure
