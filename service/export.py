"""Alerts of a service as a Parquet file: a row an alert, a thousand in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from ..model.errors import InputError
from ..protos import detector_pb2 as pb

_GROUP = 1000  # alerts that are written at a time
_RIGHT_OR_NOT = (pb.VERDICT_NORMAL, pb.VERDICT_ANOMALOUS)


def export(alerts: Iterable[pb.Alert], path: Path) -> int:
    """Write alerts to `path`, and say how many; it appears when all are in it.

    Columns are the fields of Alert in protos/detector.proto: times as timestamps, 0 as null; the
    status as a word; whether it was called normal or anomalous last; and comment and by of the last
    feedback.
    """
    if path.is_dir():
        raise InputError(f"expected the name of a Parquet file, got the folder {path}; add a name")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"{path} needs pyarrow, which is not installed: pip install 'offscript[parquet]'"
        ) from error
    moment = pa.timestamp("us", tz="UTC")
    schema = pa.schema(
        {
            **dict.fromkeys(("id", "model", "model_name", "stream", "detector"), pa.string()),
            **dict.fromkeys(("time", "first_seen", "last_seen"), moment),
            "count": pa.int64(),
            **dict.fromkeys(("score", "threshold", "surprisal"), pa.float64()),
            **dict.fromkeys(("observed", "text", "expected"), pa.string()),
            "expected_probability": pa.float64(),
            **dict.fromkeys(("joined", "unknown"), pa.bool_()),
            **dict.fromkeys(("position", "revision"), pa.int64()),
            **dict.fromkeys(("status", "verdict", "comment", "by"), pa.string()),
        }
    )
    part = path.with_name(f"{path.name}.part")
    count, rows = 0, map(_row, alerts)
    try:
        with pq.ParquetWriter(part, schema) as writer:
            while group := list(islice(rows, _GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema))
                count += len(group)
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _row(alert: pb.Alert) -> dict[str, Any]:
    said = alert.feedback[-1] if alert.feedback else None
    verdict = pb.VERDICT_UNSPECIFIED
    for one in alert.feedback:
        if one.verdict in _RIGHT_OR_NOT:
            verdict = one.verdict
        elif (one.verdict, verdict) == (pb.VERDICT_OPEN, pb.VERDICT_NORMAL):
            verdict = pb.VERDICT_UNSPECIFIED
    plain = {
        field.name: getattr(alert, field.name)
        for field in pb.Alert.DESCRIPTOR.fields
        if field.name not in ("status", "feedback") and not field.name.endswith("_micros")
    }
    return {
        **plain,
        "time": alert.time_micros or None,
        "first_seen": alert.first_seen_micros or None,
        "last_seen": alert.last_seen_micros or None,
        "status": _word(pb.Status.Name(alert.status)),
        "verdict": _word(pb.Verdict.Name(verdict)) if verdict else None,
        "comment": None if said is None else said.comment,
        "by": None if said is None else said.by,
    }


def _word(name: str) -> str:
    return name.partition("_")[2].lower()
