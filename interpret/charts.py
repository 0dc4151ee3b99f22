"""Figures of a whole model as inline SVG: heat maps, curves over distance, heads on heads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from .markup import Markup, join, tag
from .svg import kind, picture

_LEVELS = 8  # shades on each side of zero
_CELL = 10.0
_LEGEND = 34.0  # room for group colours and numbers
SIDES = {"Q": "a", "K": "b", "V": "c"}  # colour of each kind of composition


def heat_map(
    title: str,
    description: str,
    table: Sequence[Sequence[float]],
    groups: Sequence[int],
    *,
    largest: float,
) -> Markup:
    """A signed table in shades of two hues, 0 blank, ±`largest` full; numbers name the events.

    Cells of one shade are one path, which keeps a page of many tables small.
    """
    size = len(table)
    shades: dict[tuple[str, int], list[str]] = defaultdict(list)
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            level = min(_LEVELS, round(abs(value) / largest * _LEVELS)) if largest else 0
            if level:
                x, y = _LEGEND + _CELL * column, _LEGEND + _CELL * row
                shades[kind(value), level].append(f"M{x:g} {y:g}h{_CELL:g}v{_CELL:g}h-{_CELL:g}z")
    drawn = [
        tag("path", d="".join(cells), class_=class_, fill_opacity=level / _LEVELS)
        for (class_, level), cells in sorted(shades.items())
    ]
    side = _LEGEND + _CELL * size
    for index, group in enumerate(groups):
        middle = _LEGEND + _CELL * (index + 0.5)
        class_ = f"group{group}"
        drawn += [
            tag("rect", x=middle - 5.0, y=_LEGEND - 6.0, width=10, height=4, class_=class_),
            tag("rect", x=_LEGEND - 6.0, y=middle - 5.0, width=4, height=10, class_=class_),
            tag("text", str(index + 1), x=_LEGEND - 9.0, y=middle + 2.5, class_="row-number"),
        ]
        if index % 2 == 0:
            number = tag("text", str(index + 1), x=middle, y=_LEGEND - 10.0, class_="column-number")
            drawn.append(number)
    frame = tag(
        "rect", x=_LEGEND, y=_LEGEND, width=_CELL * size, height=_CELL * size, class_="frame"
    )
    return picture(title, description, *drawn, frame, width=side, height=side, class_="heat")


def curve(title: str, description: str, values: Sequence[float], level: float) -> Markup:
    """Values from left to right, 0 first, and a dashed line at `level`."""
    width, height = 240.0, 70.0
    low, high = min(*values, level, 0.0), max(*values, level, 0.0)
    scale = (height - 10.0) / ((high - low) or 1.0)
    step = (width - 10.0) / max(len(values) - 1, 1)

    def y(value: float) -> float:
        return 5.0 + (high - value) * scale

    points = " ".join(f"{5.0 + step * at:.1f},{y(value):.1f}" for at, value in enumerate(values))
    return picture(
        title,
        description,
        tag("line", x1=0, x2=width, y1=y(0.0), y2=y(0.0), class_="zero"),
        tag("line", x1=0, x2=width, y1=y(level), y2=y(level), class_="level"),
        tag("polyline", points=points, class_="curve"),
        width=width,
        height=height,
        class_="curves",
    )


def curves(
    title: str,
    description: str,
    places: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    *,
    low: float,
    high: float,
    level: float | None = None,
) -> Markup:
    """Lines by their colour's class, over `places` on a given scale; unknown values are left out.

    Zero is drawn through, and a dashed line at `level`.
    """
    width, height = 160.0, 70.0
    first, span = places[0], (places[-1] - places[0]) or 1.0
    scale = (height - 6.0) / ((high - low) or 1.0)

    def y(value: float) -> float:
        return 3.0 + (high - value) * scale

    drawn = [tag("line", x1=0, x2=width, y1=y(0.0), y2=y(0.0), class_="zero")]
    if level is not None:
        drawn.append(tag("line", x1=0, x2=width, y1=y(level), y2=y(level), class_="level"))
    for class_, values in lines.items():
        points = " ".join(
            f"{3.0 + (width - 6.0) * (place - first) / span:.1f},{y(value):.1f}"
            for place, value in zip(places, values, strict=True)
            if value is not None
        )
        drawn.append(tag("polyline", points=points, class_=f"curve {class_}"))
    return picture(title, description, *drawn, width=width, height=height, class_="curves")


def heads_on_heads(
    title: str,
    description: str,
    first: Sequence[str],
    second: Sequence[str],
    links: Sequence[tuple[str, str, str, float]],
) -> Markup:
    """Heads of layer 0 on the left, of layer 1 on the right; links (from, to, side, strength)."""
    step, width = 44.0, 420.0
    height = step * max(len(first), len(second))
    left = {name: step * (at + 0.5) for at, name in enumerate(first)}
    right = {name: step * (at + 0.5) for at, name in enumerate(second)}
    largest = max((strength for *_, strength in links), default=1.0)
    drawn = []
    for begin, end, side, strength in links:
        # The three kinds leave a head side by side, so that none hides another.
        shift = 5.0 * (list(SIDES).index(side) - 1)
        y1, y2 = left[begin] + shift, right[end] + shift
        drawn.append(
            tag(
                "path",
                d=f"M70 {y1:.1f}C200 {y1:.1f} 220 {y2:.1f} 350 {y2:.1f}",
                class_=f"link side-{SIDES[side]}",
                stroke_width=1.0 + 6.0 * strength / largest,
            )
        )
    for names, x, anchor in ((left, 60.0, "end"), (right, 360.0, "start")):
        drawn += [
            tag("text", name, x=x, y=y + 4.5, class_="head-name", text_anchor=anchor)
            for name, y in names.items()
        ]
    return picture(title, description, join(drawn), width=width, height=height, class_="network")
