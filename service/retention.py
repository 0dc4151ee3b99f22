"""What the store lets go: alerts that are old, too many or too large, and models that no alert came
from.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from . import tables

_BATCH_ALERTS = 200  # deleted in one transaction, which all other writing waits for
_WEIGH_ALERTS = 2_000  # whose bytes are counted in one transaction
_NUMBERS = "last_numbers"  # what the highest numbers were when alerts were deleted last
_WEIGHED = "alert_bytes"  # a row, and the bytes of all alerts up to it

_ALERTS = tables.alerts.c
_META = tables.meta.c


@dataclass(frozen=True)
class Forgotten:
    """What became of the alerts in one batch of deleting."""

    deleted: int
    stored: int  # that are left
    more: bool  # others may have to go at once


def forget(
    connection: sa.Connection,
    *,
    before: float,
    most: int,
    most_bytes: float,
    models: Collection[str],
) -> Forgotten:
    """Delete a batch of alerts that last changed before that unix time or are past `most` or
    `most_bytes`, the longest unchanged first, with their feedback; and, when none is left to
    delete, the files of models that no alert came from, except `models`.

    An alert that was judged anomalous stays and does not count: such are few and wanted later.
    """
    stored, passing = connection.execute(_COUNT).one()
    last = last_numbers(connection)
    weighed, size = _weigh(connection, last[0])
    over = size - (connection.scalar(_STAYING_BYTES, {"weighed": weighed}) or 0) - most_bytes
    rows, freed = [], 0
    for at, alert in enumerate(connection.execute(_OLDEST)):
        if not (alert.changed < before or at < passing - most or freed < over):
            break
        rows.append(alert.row)
        freed += alert.bytes if alert.row <= weighed else 0
    _keep(connection, _WEIGHED, [weighed, size - freed])
    if rows:
        _keep(connection, _NUMBERS, last)
        of_alerts = tables.feedback.c.alert.in_(rows)
        connection.execute(sa.delete(tables.feedback).where(of_alerts))
        connection.execute(sa.delete(tables.alerts).where(_ALERTS.row.in_(rows)))
    more = len(rows) == _BATCH_ALERTS or weighed < last[0]
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


def _weigh(connection: sa.Connection, last: int) -> tuple[int, int]:
    """Up to which row alerts are weighed, some of those that came since included, and their bytes.

    What a database's own files take says little: it grows with what else is kept, and where alerts
    are deleted it does not shrink.
    """
    kept = connection.scalar(sa.select(_META.value).where(_META.key == _WEIGHED))
    weighed, size = json.loads(kept or "[0, 0]")
    until = min(last, weighed + _WEIGH_ALERTS)
    added = connection.scalar(_BYTES, {"after": weighed, "until": until})
    return until, size + (added or 0)


def _keep(connection: sa.Connection, key: str, numbers: Sequence[int]) -> None:
    connection.execute(sa.delete(tables.meta).where(_META.key == key))
    connection.execute(sa.insert(tables.meta).values(key=key, value=json.dumps(numbers)))


# Made once, as building a statement costs more than running it.
_PASSES = _ALERTS.verdict != "anomalous"
_COUNT = sa.select(sa.func.count(), sa.func.count().filter(_PASSES)).select_from(tables.alerts)
_SIZE = sa.func.length(_ALERTS.alert)  # it is ASCII, and most of what a row takes
_BYTES = sa.select(sa.func.sum(_SIZE)).where(
    _ALERTS.row > sa.bindparam("after"), _ALERTS.row <= sa.bindparam("until")
)
_EVERY = tables.alerts.alias().c  # a query of its own finds the few by an index, and reads no other
_STAYING = sa.select(_EVERY.row).where(_EVERY.verdict == "anomalous")
_STAYING_BYTES = sa.select(sa.func.sum(_SIZE)).where(
    _ALERTS.row.in_(_STAYING), _ALERTS.row <= sa.bindparam("weighed")
)
_OLDEST = (
    sa.select(_ALERTS.row, _ALERTS.changed, _SIZE.label("bytes"))
    .where(_PASSES)
    .order_by(_ALERTS.changed)
    .limit(_BATCH_ALERTS)
)
_LAST_NUMBERS = sa.select(  # one subquery each: SQLite looks up one maximum, but scans for two
    sa.select(sa.func.max(_ALERTS.row)).scalar_subquery(),
    sa.select(sa.func.max(_ALERTS.revision)).scalar_subquery(),
    sa.select(_META.value).where(_META.key == _NUMBERS).scalar_subquery(),
)
