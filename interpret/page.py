"""One HTML file that needs nothing else: no request, no script; headings, tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path

from .markup import Markup, join, tag
from .svg import bar
from .words import signed

# Nothing may be loaded, whatever the page holds; its own styles are all it has.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, head: Markup, sections: Iterable[Markup], foot: Markup) -> str:
    """The whole file: `head` on top, `sections`, and `foot` at the end."""
    document = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("meta", name="referrer", content="no-referrer"),
            tag("title", title),
            tag("style", _styles()),
        ),
        tag(
            "body",
            tag("header", head),
            tag("main", *sections),
            tag("footer", foot),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{document}\n"


@cache
def _styles() -> Markup:
    folder = Path(__file__).parent
    files = ("page.css", "figures.css")
    return Markup("".join((folder / name).read_text(encoding="utf-8") for name in files))


def section(title: str, *children: str, level: int = 2) -> Markup:
    """A part of the page under a heading of its own."""
    return tag("section", tag(f"h{level}", title), *children)


def note(text: str) -> Markup:
    """What a figure or a table shows, in words under its heading."""
    return tag("p", prose(text), class_="note")


def prose(text: str) -> Markup:
    """A sentence whose `quoted` parts are set as code."""
    parts = text.split("`")
    return join(tag("code", part) if index % 2 else part for index, part in enumerate(parts))


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names with what they are, as a list of definitions."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str | None = None
) -> Markup:
    """A table whose first column names its rows; an empty heading is over figures."""
    columns = [
        tag("th", name, scope="col") if name else tag("td", class_="figure") for name in head
    ]
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in rows
    ]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *columns)),
        tag("tbody", *body),
        class_=class_,
    )


def signed_bars(caption: str, rows: Sequence[tuple[str, float]]) -> Markup:
    """Names with values in nats, shown in bits, each with its bar from zero."""
    values = [value for _, value in rows]
    low, high = min(0.0, *values), max(0.0, *values)
    return table(
        caption,
        ("Part", "", "bits"),
        [(name, bar(0.0, value, low, high), signed(value)) for name, value in rows],
        class_="bars",
    )


def waterfall(caption: str, rows: Sequence[tuple[str, float]], total: tuple[str, float]) -> Markup:
    """Parts that add up, in nats: each bar begins where the one before it ended."""
    ends = [0.0, *accumulate(value for _, value in rows)]
    low, high = min(ends), max(ends)
    steps = [
        (name, bar(begin, begin + value, low, high), signed(value))
        for (name, value), begin in zip(rows, ends, strict=False)
    ]
    last = (tag("strong", total[0]), bar(0.0, total[1], low, high), tag("strong", signed(total[1])))
    return table(caption, ("Part", "", "bits"), [*steps, last], class_="bars waterfall")
