"""Alerts into a file: as JSON lines, or as Parquet where the file's name ends so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .alert import Alert
from .errors import InputError

_GROUP = 1000  # alerts that are written at a time to Parquet

Write = Callable[[Alert], None]


@contextmanager
def alert_file(path: Path | None) -> Iterator[Write]:
    """What writes an alert to `path`; None is standard output.

    The file is whole when the context ends, also by an error: what came before it is kept.
    """
    if path is None:
        yield lambda alert: _write_line(sys.stdout, alert)
        sys.stdout.flush()
        return
    try:
        if path.suffix == ".parquet":
            with _parquet(path) as write:
                yield write
        else:
            with path.open("w", encoding="utf-8") as file:
                yield lambda alert: _write_line(file, alert)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_line(file: Any, alert: Alert) -> None:
    file.write(json.dumps(alert.to_json(), ensure_ascii=False) + "\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"{path} needs pyarrow, which is not installed: pip install 'offscript[parquet]', or "
            "give a name that ends in .jsonl"
        ) from error
    moment = pa.timestamp("us", tz="UTC")
    columns = {
        **dict.fromkeys(("id", "model", "stream", "detector"), pa.string()),
        **dict.fromkeys(("time", "first_seen", "last_seen"), moment),
        "count": pa.int64(),
        **dict.fromkeys(("score", "threshold", "statistic", "limit"), pa.float64()),
        "joined": pa.bool_(),
        "position": pa.int64(),
        **dict.fromkeys(("surprisal", "entropy"), pa.float64()),
        **dict.fromkeys(("observed", "text", "expected"), pa.string()),
        "expected_probability": pa.float64(),
        "tokens": pa.list_(pa.int32()),
        "times": pa.list_(moment),
        "lines": pa.list_(pa.string()),
        "span": pa.int64(),
        "counts": pa.map_(pa.int32(), pa.int64()),
        "scores": pa.map_(pa.string(), pa.float64()),
        "kinds": pa.list_(pa.string()),
    }
    schema = pa.schema(columns)
    waiting: list[dict[str, Any]] = []

    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema))
            waiting.clear()

        def write(alert: Alert) -> None:
            waiting.append(_row(alert))
            if len(waiting) == _GROUP:
                flush()

        try:
            yield write
        finally:
            flush()


def _row(alert: Alert) -> dict[str, Any]:
    """An alert as Parquet's columns want it; times in microseconds."""

    def micros(seconds: float | None) -> int | None:
        return None if seconds is None else round(seconds * 1e6)

    row = alert.to_json()
    for name in ("time", "first_seen", "last_seen"):
        row[name] = micros(row[name])
    row["times"] = [micros(time) for time in row["times"]]
    row["counts"] = list(alert.counts.items())
    row["scores"] = list(alert.scores.items())
    row["kinds"] = list(alert.kinds)
    return row
