"""Figures that stand alone: an SVG file each with its own styles and words, light."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import unescape
from itertools import accumulate
from pathlib import Path

from .markup import Markup, join, tag
from .svg import bar
from .words import clean, plain, signed

WIDTH = 760.0
MARGIN = 16.0
_LINE = 17.0  # height of a line of words
_ROW = 26.0  # and of a bar's row
LABEL = 58  # characters of a row's name
_BAR = 220.0
_WRAP = 112  # characters of a line under the title
_COLUMNS, _NARROW = 4, 27  # of small figures, and characters of a line under one
_FONTS = "system-ui, Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Row:
    """A bar with its name before and its number behind it."""

    name: str  # markup or text
    begin: float
    end: float
    number: str
    pale: bool = False
    about: str = ""  # in small words under the name


def alone(title: str, about: str, drawn: Markup, height: float) -> str:
    """The file: title and words on top, and below them what is drawn, `height` high."""
    title, about = clean(title), clean(about)
    lines = textwrap.wrap(about, _WRAP)
    top = MARGIN + _LINE * (1.5 + len(lines))
    whole = top + height + MARGIN
    told = [
        words(line, MARGIN, MARGIN + _LINE * (2.0 + at), class_="quiet")
        for at, line in enumerate(lines)
    ]
    document = tag(
        "svg",
        tag("title", title),
        tag("desc", about),
        tag("style", _styles()),
        tag("rect", width="100%", height="100%", class_="sheet"),
        words(title, MARGIN, MARGIN + 0.8 * _LINE, class_="title"),
        *told,
        tag("g", drawn, transform=f"translate(0 {top:g})"),
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        width=WIDTH,
        height=whole,
        viewBox=f"0 0 {WIDTH:g} {whole:g}",
    )
    return f"{document}\n"


def bars(title: str, about: str, rows: Sequence[Row]) -> str:
    """Rows on one scale, which has a zero."""
    ends = [0.0, *(value for row in rows for value in (row.begin, row.end))]
    low, high = min(ends), max(ends)
    drawn, top = [], 0.0
    for row in rows:
        middle = top + 0.5 * _ROW
        drawn += [
            words(plain(text_of(row.name), LABEL), MARGIN, middle + 4.0, class_="name"),
            placed(
                bar(row.begin, row.end, low, high, pale=row.pale),
                WIDTH - MARGIN - 64.0 - _BAR,
                middle - 7.0,
                _BAR,
                14.0,
            ),
            words(row.number, WIDTH - MARGIN, middle + 4.0, class_="number"),
        ]
        top += _ROW
        for line in textwrap.wrap(clean(row.about), _WRAP):
            drawn.append(words(line, MARGIN, top + 6.0, class_="quiet"))
            top += _LINE
    return alone(title, about, join(drawn), top)


def multiples(title: str, about: str, drawn: Sequence[tuple[str, Markup]]) -> str:
    """Small figures of one shape side by side, each with its words under it."""
    column = (WIDTH - 2.0 * MARGIN) / _COLUMNS
    wide, high = size_of(drawn[0][1])
    width = column - MARGIN
    height = width * high / wide
    # A number stays with its unit.
    told = [textwrap.wrap(clean(name).replace(" %", "\u00a0%"), _NARROW) for name, _ in drawn]
    step = height + _LINE * (max(map(len, told)) + 1)
    parts = []
    for at, ((_, figure), wrapped) in enumerate(zip(drawn, told, strict=True)):
        row, place = divmod(at, _COLUMNS)
        x, y = MARGIN + place * column, row * step
        parts.append(placed(figure, x, y, width, height))
        parts += [
            words(line, x, y + height + _LINE * (number + 1), class_="quiet")
            for number, line in enumerate(wrapped)
        ]
    rows = -(-len(drawn) // _COLUMNS)
    return alone(title, about, join(parts), rows * step)


def size_of(figure: Markup) -> tuple[float, float]:
    """Width and height of a picture in its own units."""
    found = re.search(r'viewBox="0 0 (\S+) (\S+)"', figure)
    assert found is not None, "every picture has its size"
    return float(found[1]), float(found[2])


def signed_rows(rows: Sequence[tuple[str, float]]) -> list[Row]:
    """Values in nats, shown in bits, each from zero."""
    return [Row(name, 0.0, value, signed(value)) for name, value in rows]


def summed_rows(rows: Sequence[tuple[str, float]], total: tuple[str, float]) -> list[Row]:
    """Values in nats that add up, shown in bits: each begins where the one before it ended."""
    begins = [0.0, *accumulate(value for _, value in rows)]
    steps = [
        Row(name, begin, begin + value, signed(value))
        for (name, value), begin in zip(rows, begins, strict=False)
    ]
    return [*steps, *signed_rows([total])]


def words(text: str, x: float, y: float, class_: str | None = None) -> Markup:
    """A line of text on its base line."""
    return tag("text", text, x=x, y=y, class_=class_)


def placed(figure: Markup, x: float, y: float, width: float, height: float) -> Markup:
    """A figure of a page in its place."""
    return tag("svg", figure, x=x, y=y, width=width, height=height)


def text_of(name: str) -> str:
    """What markup says."""
    return unescape(re.sub(r"<[^>]*>", "", name)) if isinstance(name, Markup) else name


@cache
def _styles() -> Markup:
    """The figures' styles in the page's light colours: not every reader of SVG knows variables."""
    folder = Path(__file__).parent
    light = (folder / "page.css").read_text(encoding="utf-8").split("@media")[0]
    colours = dict(re.findall(r"--(\w+): (#\w+);", light))
    own = (
        f"text {{ font: 13px {_FONTS}; fill: var(--text); }}\n"
        ".sheet { fill: var(--ground); }\n"
        ".title { font-size: 15px; font-weight: 600; }\n"
        ".quiet { font-size: 12px; fill: var(--quiet); }\n"
        ".name { font-size: 12px; }\n"
        ".number { text-anchor: end; }\n"
    )
    styles = own + (folder / "figures.css").read_text(encoding="utf-8")
    return Markup(re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], styles))
