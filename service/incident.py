"""Incidents: alerts of one mechanism in any number of streams, as one thing to tell."""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa

from ..model.alert import Alert
from . import tables

_MOST = 200  # incidents told at a time; a mechanism is a kind of event, and of these there are few
_STREAMS = 5  # that are named

_ALERTS = tables.alerts.c
_MECHANISM = (_ALERTS.detector, _ALERTS.observed, _ALERTS.expected)


@dataclass(frozen=True)
class Incident:
    """Open alerts of one mechanism; times in unix seconds."""

    detector: str
    observed: str
    expected: str
    alerts: int
    count: int  # how often they were raised
    first_seen: float
    last_seen: float
    revision: int  # of the last change of any of them
    streams: tuple[str, ...]  # the newest few
    newest: Alert


def read(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Incident]:
    """The incidents of those open alerts that a condition lets pass, the latest change last."""
    which = which & (_ALERTS.status == "open")
    latest = sa.func.max(_ALERTS.revision).label("revision")
    query = (
        sa.select(
            *_MECHANISM,
            sa.func.count().label("alerts"),
            sa.func.sum(_ALERTS.count).label("count"),
            sa.func.min(_ALERTS.first_seen).label("first_seen"),
            sa.func.max(_ALERTS.last_seen).label("last_seen"),
            latest,
        )
        .where(which)
        .group_by(*_MECHANISM)
        .order_by(latest)
        .limit(_MOST)
    )
    found = []
    for row in connection.execute(query).mappings().all():
        same = [column == row[column.name] for column in _MECHANISM]
        newest = sa.select(_ALERTS.stream, _ALERTS.alert).where(which, *same)
        some = connection.execute(newest.order_by(_ALERTS.row.desc()).limit(_STREAMS)).all()
        found.append(
            Incident(
                **{**row, "count": int(row["count"])},
                streams=tuple(dict.fromkeys(one.stream for one in some)),
                newest=Alert.from_json(json.loads(some[0].alert)),
            )
        )
    return found
