"""Incidents: alerts of one model that have one cause, in any number of streams."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from ..model.alert import DETECTORS, Alert
from ..model.vocabulary import NEW, SPECIAL
from . import tables

FIRING = ("open", "anomalous", "acknowledged")  # how alerts stand that are part of one
LASTING_SECONDS = 900.0  # an incident is over when nothing of it has changed for so long
UNKNOWN = ("new", SPECIAL[NEW], "")  # detector, observed, expected: one incident, whatever they are
_STREAMS = 5  # that are named

_ALERTS = tables.alerts.c
_ALIKE = (
    _ALERTS.model_name,
    _ALERTS.unknown,
    *(
        # Literal, as PostgreSQL takes two parameters of the same value for different expressions.
        sa.case((_ALERTS.unknown, sa.literal_column(f"'{name}'", sa.Text)), else_=column).label(
            column.name
        )
        for column, name in zip(
            (_ALERTS.detector, _ALERTS.observed, _ALERTS.expected), UNKNOWN, strict=True
        )
    ),
)
_SAID = tables.feedback.c
_ON_IT = (
    sa.select(_SAID.by, _SAID.comment)
    .join(tables.alerts, _SAID.alert == _ALERTS.row)
    .where(_ALERTS.status == "acknowledged", _SAID.verdict == "acknowledged")
    .order_by(_SAID.row.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Incident:
    """Alerts that are open, acknowledged, or were called anomalous; times in unix seconds.

    They have the detector, the observed and the expected event in common; those that an unknown
    event explains are one, whichever these are, as what came before it, and what each detector
    makes of it, is no part of the cause. Wider than `Alert.mechanism`, by which alerts are kept
    quiet: who hears of every stream by itself stops reading.
    """

    model_name: str
    unknown: bool  # alerts that an unknown event explains
    detector: str
    observed: str
    expected: str
    alerts: int
    stream_count: int
    count: int  # how often they were raised
    first_seen: float
    last_seen: float
    revision: int  # of the last change of any of them
    streams: tuple[str, ...]  # the newest few
    newest: Alert  # of those of the observed event itself, if there are any
    acknowledged: int  # how many of the alerts somebody is on
    on_it: str  # who that is, and what they say, of the one acknowledged last

    @property
    def kind(self) -> str:
        return kind_of(self.model_name, self.detector, self.observed, self.expected)


def kind_of(model_name: str, detector: str, observed: str, expected: str) -> str:
    """The same for alerts of one incident; 16 hexadecimal digits."""
    named = [model_name] if model_name else []
    return sha256(json.dumps([*named, detector, observed, expected]).encode()).hexdigest()[:16]


def rfc3339(seconds: float) -> str | None:
    """A unix time as text; None for an unknown one, and for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


def changed(after: float | None, revisions: tuple[int, int] | None) -> sa.ColumnElement[bool]:
    """Which alerts firing incidents have that changed after a unix time, or in revisions (after,
    last]; by revisions only those that nobody is on yet.
    """
    which: sa.ColumnElement[bool] = _ALERTS.status.in_(FIRING)
    if after is not None:
        which &= _ALERTS.changed > after
    if revisions is not None:
        which &= (_ALERTS.revision > revisions[0]) & (_ALERTS.revision <= revisions[1])
        which &= _ALERTS.status != "acknowledged"
    return which


def read(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Incident]:
    """The incidents of those alerts that a condition lets pass, the latest change last; without
    what is part of a storm.
    """
    which = which & ~_ALERTS.held
    found = []
    for row in connection.execute(kinds(which).order_by("revision")).mappings().all():
        same = [column == row[column.name] for column in _ALIKE]
        newest = sa.select(_ALERTS.alert).where(_ALERTS.row == row["newest"])
        alert = connection.execute(newest).scalar_one()
        last = sa.select(_ALERTS.stream).where(which, *same).order_by(_ALERTS.row.desc())
        streams = dict.fromkeys(connection.scalars(last.limit(_STREAMS * len(DETECTORS))))
        on_it = connection.execute(_ON_IT.where(which, *same)).first() or ()
        found.append(
            Incident(
                **{**row, "count": int(row["count"]), "newest": Alert.from_json(json.loads(alert))},
                streams=tuple(streams)[:_STREAMS],
                on_it=": ".join(filter(None, on_it)),
            )
        )
    return found


def kinds(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """A row a kind of alerts that a condition lets pass: what they have in common, and sums."""
    # An unknown event's own line says more than what another detector made of its stream.
    itself = ~_ALERTS.unknown | (_ALERTS.observed == SPECIAL[NEW])
    newest = sa.func.coalesce(sa.func.max(_ALERTS.row).filter(itself), sa.func.max(_ALERTS.row))
    return (
        sa.select(
            *_ALIKE,
            sa.func.count().label("alerts"),
            sa.func.count(_ALERTS.stream.distinct()).label("stream_count"),
            sa.func.sum(_ALERTS.count).label("count"),
            sa.func.min(_ALERTS.first_seen).label("first_seen"),
            sa.func.max(_ALERTS.last_seen).label("last_seen"),
            sa.func.max(_ALERTS.revision).label("revision"),
            newest.label("newest"),
            sa.func.count().filter(_ALERTS.status == "acknowledged").label("acknowledged"),
        )
        .where(which)
        .group_by(*_ALIKE)
    )
