"""HTML and SVG put together so that text cannot become markup: what is not `Markup` is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = ("meta", "br")  # elements without an end


class Markup(str):
    """Text that is markup already, made by `tag` and `join` alone."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """<name attributes>children</name>, children that are not markup escaped.

    `class_` is written class and `aria_hidden` aria-hidden; an attribute that is None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str], between: str = "") -> Markup:
    """Children beside one another, those that are not markup escaped."""
    return Markup(escape(between).join(map(_safe, children)))


def _safe(child: str) -> str:
    return child if isinstance(child, Markup) else escape(child)


def _shown(value: str | float) -> str:
    """Numbers to a tenth of a pixel or a hundredth of a share, without empty digits."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
