"""Writes the tables of README and docs from results/*.json; with --check only says which are stale.

A table stands between two marks, the first of which names the benchmark and the measures:

    <!-- table detection: auroc, average_precision -->
    <!-- /table -->
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ..model.errors import InputError, OffscriptError
from .results import FOLDER, HERE, Results, Row, read_results

MARKED = re.compile(
    r"^(<!-- table (?P<name>\w+): (?P<measures>[\w., -]+?) -->\n).*?^(<!-- /table -->)$",
    re.MULTILINE | re.DOTALL,
)


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
        measures = [measure.strip() for measure in mark["measures"].split(",")]
        return mark[1] + table(read_results(path), measures) + mark[4]

    return MARKED.sub(fill, text)


def table(results: Results, measures: list[str]) -> str:
    """A line for each data set and method, a column for each measure, and how to get it again."""
    cells = {(row.dataset, row.method, row.measure): row for row in results.rows}
    absent = set(measures) - {row.measure for row in results.rows}
    if absent:
        raise InputError(
            f"results of {results.name!r} hold no measure {', '.join(sorted(absent))}: "
            "correct the table's mark or run the benchmark again"
        )
    lines = [
        f"| data | method | {' | '.join(measures)} |",
        f"|---|---|{'---:|' * len(measures)}",
    ]
    seen = dict.fromkeys((r.dataset, r.method) for r in results.rows if r.measure in measures)
    for dataset, method in seen:
        values = [cell(cells.get((dataset, method, measure))) for measure in measures]
        lines.append(f"| {dataset} | {method} | {' | '.join(values)} |")
    place = f"{results.machine['cores']} cores of {results.machine['cpu']}"
    how = f"`{results.command}` at {results.commit[:7]}, seed {results.seed}"
    return "\n".join([*lines, "", f"{how}: {results.seconds:.0f} s on {place}."]) + "\n"


def cell(row: Row | None) -> str:
    """A value with its interval: .987 (.981–.992); – where it was not measured."""
    if row is None:
        return "–"
    if row.low is None or row.high is None:
        return number(row.value)
    return f"{number(row.value)} ({number(row.low)}–{number(row.high)})"


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
