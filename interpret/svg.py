"""Figures as inline SVG: bars, arcs and strips, coloured by the page's own styles.

Kinds of colour: "for" and "against", two hues that colour-blind eyes tell apart; what is against is
dashed or hatched besides, and a number always stands beside the colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .markup import Markup, tag

EM = 16  # units of a figure whose height follows the text


def picture(
    title: str,
    description: str,
    *drawn: Markup,
    width: float,
    height: float,
    class_: str,
    stretched: bool = False,
) -> Markup:
    """A figure that a screen reader announces by its title, and describes."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *drawn,
        role="img",
        viewBox=f"0 0 {width:g} {height:g}",
        preserveAspectRatio="none" if stretched else None,
        class_=class_,
    )


def bar(begin: float, end: float, low: float, high: float, *, pale: bool = False) -> Markup:
    """A bar from `begin` to `end` on a scale from `low` to `high`, with a line at zero.

    The number stands beside it in the text, so screen readers pass it over.
    """
    scale = 100.0 / (high - low) if high > low else 0.0
    left, right = sorted(((begin - low) * scale, (end - low) * scale))
    zero = -low * scale
    class_ = f"{kind(end - begin)} pale" if pale else kind(end - begin)
    return tag(
        "svg",
        tag("rect", x=0, y=0, width=100, height=10, class_="ground"),
        tag("rect", x=left, y=1, width=max(right - left, 0.3), height=8, class_=class_),
        tag("line", x1=zero, x2=zero, y1=0, y2=10, class_="zero"),
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        class_="bar",
        aria_hidden="true",
    )


def kind(value: float) -> str:
    """The colour of a signed value."""
    return "against" if value < 0.0 else "for"


@dataclass(frozen=True)
class Node:
    """An event on a ribbon: its height in em, and its signed contribution, if it has one."""

    height: float
    value: float | None


def arcs(title: str, description: str, nodes: Sequence[Node], target: int, width: float) -> Markup:
    """A thread of events from top to bottom, and arcs from those with a value to the target.

    An arc is as thick as its value is large. `width` is in em; heights are those of the rows that
    stand beside, so both grow with the text.
    """
    middles, total = [], 0.0
    for node in nodes:
        middles.append(EM * (total + node.height / 2.0))
        total += node.height
    x = EM * (width - 0.8)
    largest = max((abs(node.value) for node in nodes if node.value is not None), default=1.0) or 1.0
    drawn = [tag("line", x1=x, x2=x, y1=middles[0], y2=middles[-1], class_="thread")]
    dots = []
    for index, (node, y) in enumerate(zip(nodes, middles, strict=True)):
        if node.value is not None:
            share = abs(node.value) / largest
            end = middles[target]
            bend = x - (0.25 + 0.75 * abs(end - y) / (EM * total)) * EM * (width - 1.5) * 4.0 / 3.0
            path = f"M{x:.1f} {y:.1f}C{bend:.1f} {y:.1f} {bend:.1f} {end:.1f} {x:.1f} {end:.1f}"
            class_ = f"arc {kind(node.value)}"
            drawn.append(tag("path", d=path, class_=class_, stroke_width=1.0 + 9.0 * share))
            dots.append(tag("circle", cx=x, cy=y, r=4.0 + 3.0 * share, class_=kind(node.value)))
        elif index != target:
            dots.append(tag("circle", cx=x, cy=y, r=2.5, class_="dot"))
    dots.append(tag("circle", cx=x, cy=middles[target], r=7, class_="target"))
    return picture(
        title, description, *drawn, *dots, width=EM * width, height=EM * total, class_="arcs"
    )


def strip(title: str, description: str, values: Sequence[float], marked: Sequence[int]) -> Markup:
    """One bar a value from left to right; those at the indexes `marked` stand out."""
    low, high = min(0.0, *values), max(0.0, *values)
    height, step = 80.0, 600.0 / max(len(values), 12)
    scale = (height - 8.0) / ((high - low) or 1.0)
    zero = 4.0 + high * scale
    bars = []
    for index, value in enumerate(values):
        class_ = kind(value) if index in marked else f"{kind(value)} pale"
        top, size = (
            (zero - value * scale, value * scale) if value >= 0.0 else (zero, -value * scale)
        )
        bars.append(
            tag("rect", x=index * step, y=top, width=0.8 * step, height=size, class_=class_)
        )
    line = tag("line", x1=0, x2=600, y1=zero, y2=zero, class_="zero")
    return picture(
        title,
        description,
        *bars,
        line,
        width=600.0,
        height=height,
        class_="strip",
        stretched=True,
    )
