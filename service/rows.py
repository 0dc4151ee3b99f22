"""An alert's row in the store: what of it never changes, and what grows while it is repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from ..model.alert import Alert
from . import tables
from .database import text
from .stored import HANDLED, Feedback, StoredAlert

REPEAT_SECONDS = 3600.0  # the same cause within this time is the same alert


@dataclass
class Row:
    """What of an alert's row changes while repeats are counted into it."""

    row: int
    id: str
    revision: int
    changed: float
    count: int
    first_seen: float
    last_seen: float
    status: str
    verdict: str = ""
    held: bool = False

    def is_over(self, alert: Alert) -> bool:
        """Whether an alert of the same cause begins a new row."""
        return self.status == "resolved" or abs(alert.time - self.last_seen) > REPEAT_SECONDS

    def grown(self) -> dict[str, object]:
        """Parameters of `GROW`."""
        return {f"new_{name}": value for name, value in vars(self).items()}

    def stored(self, alert: Alert) -> StoredAlert:
        """One of the alerts that became this row."""
        if (self.id, self.count) == (alert.id, alert.count):  # new, and alone in it
            return StoredAlert(self.row, self.revision, alert, status=self.status)
        counted = replace(
            alert,
            id=self.id,
            count=self.count,
            first_seen=self.first_seen,
            last_seen=self.last_seen,
        )
        return StoredAlert(self.row, self.revision, counted, status=self.status)


def read_row(row: Mapping[Any, Any], feedback: tuple[Feedback, ...]) -> StoredAlert:
    """The alert of a row that was read."""
    alert = Alert.from_json(json.loads(row["alert"]))
    counted = replace(alert, count=row["count"], last_seen=row["last_seen"])
    return StoredAlert(row["row"], row["revision"], counted, feedback, row["status"])


def standing(said: str) -> dict[str, object]:
    """What changes of a row when a verdict is given.

    Who calls an alert anomalous that is acknowledged or resolved does not open it again, and takes
    it out of a storm. What is opened again is no longer normal, but stays anomalous.
    """
    if said == "open":
        right = _ALERTS.verdict == "anomalous"
        return {
            "verdict": sa.case((right, "anomalous"), else_=""),
            "status": sa.case((right, "anomalous"), else_="open"),
        }
    if said in HANDLED:
        return {"status": said}
    handled = _ALERTS.status.in_(HANDLED)
    stays = sa.case((handled, _ALERTS.status), else_=said)
    if said == "anomalous":
        return {"verdict": said, "status": stays, "held": False}
    return {"verdict": said, "status": said}


Cause = tuple[str, str, str, str, str, bool]


def cause_of(alert: Alert) -> Cause:
    """What alerts have in common that are one, raised again."""
    same = (alert.model, alert.model_name, alert.stream, alert.detector, alert.observed)
    return (*same, alert.unknown)


def is_anomalous(connection: sa.Connection, alert: Alert) -> bool:
    """Whether the last that was said of an alert of the same cause is that it is right."""
    row = last_of(connection, alert, _JUDGED)
    return row is not None and row.verdict == "anomalous"


def last_of(connection: sa.Connection, alert: Alert, which: sa.Select[Any]) -> Row | None:
    """The newest row of the same cause: `LAST` of those that are not suppressed, `LAST_QUIET` of
    those that are.
    """
    *same, unknown = cause_of(alert)
    names = ("of_model", "of_model_name", "of_stream", "of_detector", "of_observed")
    compiled = _compiled(which, connection.dialect)
    values = {**compiled.params, **dict(zip(names, map(text, same), strict=True))}
    values["of_unknown"] = unknown
    places = compiled.positiontup
    # By the driver itself: SQLAlchemy takes eight times as long for a query as SQLite does.
    cursor = connection.connection.cursor()
    try:
        cursor.execute(str(compiled), [values[name] for name in places] if places else values)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return None if row is None else Row(*row)


@lru_cache(maxsize=6)
def _compiled(query: sa.Select[Any], dialect: sa.Dialect) -> SQLCompiler:
    compiled = query.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler), "a query is a statement in SQL"
    return compiled


def columns(alert: Alert) -> dict[str, object]:
    """What of an alert's row never changes."""
    return {
        "model": alert.model,
        "model_name": alert.model_name,
        "stream": text(alert.stream),
        "detector": alert.detector,
        "observed": text(alert.observed),
        "expected": text(alert.expected),
        "mechanism": alert.mechanism,
        "unknown": alert.unknown,
        "alert": json.dumps(alert.to_json()),
    }


# Made once, as building a statement costs more than running it.
_ALERTS = tables.alerts.c
_CAUSE = (
    sa.select(*(_ALERTS[field.name] for field in fields(Row)))
    .where(
        _ALERTS.stream == sa.bindparam("of_stream"),
        _ALERTS.detector == sa.bindparam("of_detector"),
        _ALERTS.observed == sa.bindparam("of_observed"),
        _ALERTS.model == sa.bindparam("of_model"),
        _ALERTS.model_name == sa.bindparam("of_model_name"),
        _ALERTS.unknown == sa.bindparam("of_unknown"),
    )
    .order_by(_ALERTS.row.desc())
    .limit(1)
)
_JUDGED = _CAUSE.where(_ALERTS.verdict != "")
LAST = _CAUSE.where(_ALERTS.status != "suppressed")
LAST_QUIET = _CAUSE.where(_ALERTS.status == "suppressed")
_GROWS = ("count", "last_seen", "revision", "changed", "status", "held")
GROW = (
    sa.update(tables.alerts)
    .where(_ALERTS.row == sa.bindparam("new_row"))
    .values({name: sa.bindparam(f"new_{name}") for name in _GROWS})
)
