"""Small plots of benchmarks/growth.py's figures: a panel for each size, all on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..interpret.drawing import MARGIN, WIDTH, alone, words
from ..interpret.markup import Markup, join, tag
from .results import Results, Row

_PANELS = {
    "window": "Window, events",
    "heads": "Heads a layer",
    "width": "Width, d_model",
    "vocabulary": "Kinds of events",
    "layers": "Layers",
    "streams": "Live streams",
    "threads": "Threads: events a second",
}
_COLUMNS = 4
_PLOT = (150.0, 110.0)
_ROOM = (16.0, 62.0)  # left of a plot, and below it
_LINES = {"offscript": "curve", "torch_incremental": "curve side-b"}
_ABOUT = (
    "Microseconds of one core for an event, by the size below. Blue: Offscript's scorer, every "
    "context computed; orange, dashed: the same decoder in PyTorch with keys and values kept, 256 "
    "streams at a time. Last: events a second of several threads. All axes are logarithmic."
)


def draw(results: Results) -> str:
    """The figure as an SVG file."""
    drawn = []
    step_x = _PLOT[0] + _ROOM[0] + MARGIN
    step_y = _PLOT[1] + _ROOM[1]
    for at, (what, title) in enumerate(_PANELS.items()):
        row, column = divmod(at, _COLUMNS)
        panel = _panel(title, [r for r in results.rows if r.dataset.startswith(f"{what}_")])
        drawn.append(tag("g", panel, transform=f"translate({column * step_x:g} {row * step_y:g})"))
    assert _COLUMNS * step_x <= WIDTH
    rows = -(-len(_PANELS) // _COLUMNS)
    return alone("How the cost of an event grows", _ABOUT, join(drawn), rows * step_y)


def _panel(title: str, rows: Sequence[Row]) -> Markup:
    """One size: a line for each method, the numbers of its ends, and the sizes below."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row.measure != "times_theirs":
            value = int(row.dataset.rpartition("_")[2])
            lines.setdefault(row.method, []).append((value, row.value))
    at: dict[int, list[float]] = {}
    for value, cost in sorted(point for line in lines.values() for point in line):
        at.setdefault(value, []).append(cost)
    values, shown = list(at), [cost for costs in at.values() for cost in costs]
    low, high = math.log(min(shown) / 1.8), math.log(max(shown) * 1.8)
    first, last = _place(values[0]), _place(values[-1])
    left, top = _ROOM[0], 24.0
    bottom = top + _PLOT[1]

    def x(value: int) -> float:
        return left + 12.0 + (_PLOT[0] - 24.0) * (_place(value) - first) / ((last - first) or 1.0)

    def y(value: float) -> float:
        return bottom - _PLOT[1] * (math.log(value) - low) / (high - low)

    drawn = [
        words(title, left, 14.0, class_="name"),
        tag("rect", x=left, y=top, width=_PLOT[0], height=_PLOT[1], class_="frame"),
    ]
    for value in values:
        label = f"{value // 1_000}k" if value >= 1_000 else str(value)
        drawn.append(
            tag("text", label, x=x(value), y=bottom + 15.0, class_="quiet", text_anchor="middle")
        )
    for method, line in lines.items():
        points = " ".join(f"{x(value):.1f},{y(cost):.1f}" for value, cost in line)
        drawn.append(tag("polyline", points=points, class_=_LINES[method]))
        drawn += [tag("circle", cx=x(v), cy=y(cost), r=2.5, class_="dot") for v, cost in line]
        for anchor, shift, (value, cost) in (("start", -8.0, line[0]), ("end", 8.0, line[-1])):
            text = f"{cost / 1_000:.0f}k" if cost >= 10_000 else f"{cost:.3g}"
            lower = cost < max(at[value])
            below = 16.0 if lower else -6.0
            drawn.append(
                tag(
                    "text",
                    text,
                    x=x(value) + shift,
                    y=y(cost) + below,
                    class_="quiet",
                    text_anchor=anchor,
                )
            )
    return join(drawn)


def _place(value: int) -> float:
    """Where a size stands on the axis: by its logarithm, and 0 one step below 1."""
    return math.log2(value) if value else -1.0
