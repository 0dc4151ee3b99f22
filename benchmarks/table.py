"""Writes the tables of README and docs from results/*.json; --check only says which are stale.

A table stands between two marks. The first names the benchmark and the measures; it may also choose
methods and data sets, in its own order, and ask for one measure with the methods side by side, or
for a line a measure beside what was aimed at and how much it was taken on, of benchmarks of one
method:

    <!-- table detection: auroc, average_precision -->
    <!-- /table -->
    <!-- table detection: auroc; methods: offscript, ngram_max; data: hdfs_raw; methods across -->
    <!-- /table -->
    <!-- table soak: rss_mb, scrape_ms; data: many_streams; with aims -->
    <!-- /table -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.errors import InputError, OffscriptError
from .results import FOLDER, HERE, Results, Row, read_results

MARKED = re.compile(
    r"^(<!-- table (?P<name>\w+): (?P<asked>[^\n>]+?) -->\n).*?^(<!-- /table -->)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Mark:
    """What a table is to show; no methods or no data mean all that were measured."""

    measures: tuple[str, ...]
    methods: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    across: bool = False  # the methods side by side, which one measure has room for
    aims: bool = False  # a line a measure, with its aim


def read_mark(text: str) -> Mark:
    """`MEASURES[; methods: …][; data: …][; methods across | ; with aims]`."""
    first, *rest = (part.strip() for part in text.split(";"))
    chosen: dict[str, tuple[str, ...]] = {}
    for part in rest:
        key, _, names = part.partition(":")
        if part not in ("methods across", "with aims") and key not in ("methods", "data"):
            raise InputError(
                f"a table's mark says {part!r}; expected `methods: …`, `data: …`, "
                "`methods across` or `with aims`"
            )
        chosen[key] = _names(names)
    across = "methods across" in chosen
    measures = _names(first)
    if across and len(measures) > 1:
        raise InputError(f"methods across have room for one measure, not for {first!r}")
    methods, data = chosen.get("methods", ()), chosen.get("data", ())
    return Mark(measures, methods, data, across, "with aims" in chosen)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def pages(root: Path) -> list[Path]:
    """The pages that may hold tables."""
    places = [root / "README.md", root / "benchmarks" / "README.md"]
    return [page for page in places if page.exists()] + sorted((root / "docs").glob("**/*.md"))


def filled(text: str, folder: Path) -> str:
    """The page's text with every table made anew."""

    def fill(mark: re.Match[str]) -> str:
        path = folder / f"{mark['name']}.json"
        if not path.exists():
            name = mark["name"]
            raise InputError(f"no results of {name!r} in {folder.name}/: run scripts/bench {name}")
        return mark[1] + table(read_results(path), read_mark(mark["asked"])) + mark[4]

    return MARKED.sub(fill, text)


def table(results: Results, mark: Mark) -> str:
    """The rows that the mark asks for, and how to get them again."""
    for what, asked, having in (
        ("measure", mark.measures, {row.measure for row in results.rows}),
        ("method", mark.methods, {row.method for row in results.rows}),
        ("data set", mark.data, {row.dataset for row in results.rows}),
    ):
        if absent := [name for name in asked if name not in having]:
            raise InputError(
                f"results of {results.name!r} hold no {what} {', '.join(absent)}: "
                "correct the table's mark or run the benchmark again"
            )
    rows = [row for row in results.rows if row.measure in mark.measures]
    methods = mark.methods or tuple(dict.fromkeys(row.method for row in rows))
    data = mark.data or tuple(dict.fromkeys(row.dataset for row in rows))
    cells = {(row.dataset, row.method, row.measure): row for row in rows}
    if mark.across:
        measure = mark.measures[0]
        head = [measure, *methods]
        body = [[name, *(cell(cells.get((name, m, measure))) for m in methods)] for name in data]
        texts = 1
    elif mark.aims:
        head = ["data", "measure", "value", "aim", "of"]
        body = [
            [
                name,
                measure,
                cell(row),
                "–" if row.target is None else number(row.target),
                "–" if row.n is None else f"{row.n:,}",
            ]
            for name in data
            for measure in mark.measures
            for method in methods
            if (row := cells.get((name, method, measure)))
        ]
        texts = 2
    else:
        head = ["data", "method", *mark.measures]
        body = [
            [name, method, *(cell(cells.get((name, method, m))) for m in mark.measures)]
            for name in data
            for method in methods
            if any((name, method, m) in cells for m in mark.measures)
        ]
        texts = 2
    lines = [_line(head), "|" + "---|" * texts + "---:|" * (len(head) - texts), *map(_line, body)]
    place = f"{results.machine['cores']} cores of {results.machine['cpu']}"
    if "gpu" in results.machine:
        place += f" and one {results.machine['gpu']}"
    how = f"`{results.command}` at {results.commit[:7]}, seed {results.seed}"
    return "\n".join([*lines, "", f"{how}: {results.seconds:.0f} s on {place}."]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(row: Row | None) -> str:
    """A value with its interval, if one is to be seen: .987 (.981–.992); – where not measured."""
    if row is None:
        return "–"
    value = number(row.value)
    if row.low is None or row.high is None or value == number(row.low) == number(row.high):
        return value
    return f"{value} ({number(row.low)}–{number(row.high)})"


def number(value: float) -> str:
    """Three digits that say something: .123, 12.3, 1,234."""
    if value == 0 or 1e-3 <= abs(value) < 1:
        return f"{value:.3f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.{max(0, 2 - len(str(int(abs(value)))) + 1)}f}"


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 if --check found a stale page."""
    parser = argparse.ArgumentParser(
        prog="python -m offscript.benchmarks.table", description=__doc__
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a stale page")
    options = parser.parse_args(arguments)
    stale = []
    for page in pages(HERE.parent):
        old = page.read_text(encoding="utf-8")
        new = filled(old, FOLDER)
        if new != old:
            stale.append(page.name)
            if not options.check:
                page.write_text(new, encoding="utf-8")
    if options.check and stale:
        print(f"stale: {', '.join(stale)}; run scripts/bench table", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OffscriptError as error:
        sys.exit(f"offscript: {error}")
