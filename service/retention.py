"""What the store lets go: alerts that are old or too many, and models that no alert came from."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from . import tables

_BATCH_ALERTS = 200  # deleted in one transaction, which all other writing waits for
_NUMBERS = "last_numbers"  # what the highest numbers were when alerts were deleted last

_ALERTS = tables.alerts.c
_META = tables.meta.c


@dataclass(frozen=True)
class Forgotten:
    """What became of the alerts in one batch of deleting."""

    deleted: int
    stored: int  # that are left
    more: bool  # others may have to go at once


def forget(
    connection: sa.Connection, *, before: float, most: int, models: Collection[str]
) -> Forgotten:
    """Delete a batch of alerts that last changed before that unix time or are past `most`, the
    longest unchanged first, with their feedback; and, when none is left to delete, the files of
    models that no alert came from, except `models`.

    An alert that was judged anomalous stays and does not count: such are few and wanted later.
    """
    stored, passing = connection.execute(_COUNT).one()
    oldest = connection.execute(_OLDEST).all()
    rows = [
        row for at, (row, changed) in enumerate(oldest) if changed < before or at < passing - most
    ]
    if rows:
        _keep_numbers(connection)
        of_alerts = tables.feedback.c.alert.in_(rows)
        connection.execute(sa.delete(tables.feedback).where(of_alerts))
        connection.execute(sa.delete(tables.alerts).where(_ALERTS.row.in_(rows)))
    more = len(rows) == _BATCH_ALERTS
    if not more:
        sha256 = tables.models.c.sha256
        needed = sa.exists().where(_ALERTS.model == sha256)
        connection.execute(sa.delete(tables.models).where(sha256.not_in(models), ~needed))
    return Forgotten(len(rows), stored - len(rows), more)


def last_numbers(connection: sa.Connection) -> tuple[int, int]:
    """The highest row and the highest revision that any alert has had; 0 before the first.

    They never go back, or whoever watches would miss the alerts after a deleted one.
    """
    row, revision, kept = connection.execute(_LAST_NUMBERS).one()
    kept_row, kept_revision = json.loads(kept or "[0, 0]")
    return max(row or 0, kept_row), max(revision or 0, kept_revision)


def _keep_numbers(connection: sa.Connection) -> None:
    numbers = json.dumps(last_numbers(connection))
    connection.execute(sa.delete(tables.meta).where(_META.key == _NUMBERS))
    connection.execute(sa.insert(tables.meta).values(key=_NUMBERS, value=numbers))


# Made once, as building a statement costs more than running it.
_PASSES = _ALERTS.verdict != "anomalous"
_COUNT = sa.select(sa.func.count(), sa.func.count().filter(_PASSES)).select_from(tables.alerts)
_OLDEST = (
    sa.select(_ALERTS.row, _ALERTS.changed)
    .where(_PASSES)
    .order_by(_ALERTS.changed)
    .limit(_BATCH_ALERTS)
)
_LAST_NUMBERS = sa.select(  # one subquery each: SQLite looks up one maximum, but scans for two
    sa.select(sa.func.max(_ALERTS.row)).scalar_subquery(),
    sa.select(sa.func.max(_ALERTS.revision)).scalar_subquery(),
    sa.select(_META.value).where(_META.key == _NUMBERS).scalar_subquery(),
)
