"""Figures in a folder: each as SVG and, where resvg is installed, as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_ZOOM = 2.0  # PNG pixels for one of the figure: sharp in print and on dense screens


def write_figures(folder: Path, figures: Mapping[str, str]) -> str:
    """Write SVG files by name; what was written, in a sentence."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        (folder / f"{name}.svg").write_text(figure, encoding="utf-8")
    said = f"{len(figures)} figures written to {folder}"
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        return f"{said} as SVG alone; for PNG too run: pip install 'offscript[figures]'"
    for name, figure in figures.items():
        (folder / f"{name}.png").write_bytes(bytes(svg_to_bytes(svg_string=figure, zoom=_ZOOM)))
    return f"{said}, as SVG and PNG"
