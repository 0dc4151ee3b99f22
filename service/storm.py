"""A storm: the incidents that began past the budget of an hour, told as one."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from . import tables
from .incident import kinds, rfc3339

_ALERTS = tables.alerts.c
_NAME = 200  # characters of an event


@dataclass(frozen=True)
class Storm:
    """Alerts of incidents that are held back; times in unix seconds."""

    kinds: int  # incidents that it holds
    alerts: int
    streams: int
    count: int  # how often they were raised
    first_seen: float
    last_seen: float
    revision: int  # of the last change of any of them
    acknowledged: int  # how many of the alerts somebody is on
    first: str  # the mechanism that was seen first
    most: str  # the one that was raised most often

    @property
    def sentence(self) -> str:
        """What it looks like, and what to do."""
        since = rfc3339(self.first_seen)
        see = "offscript alerts" + (f" --since {since}" if since else "")
        return f"This looks like a release: train again. `{see}` lists all alerts."


def read(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Storm | None:
    """The storm of those alerts that a condition lets pass, if there is one."""
    which = which & _ALERTS.held
    found = connection.execute(kinds(which).order_by("first_seen", "revision")).mappings().all()
    if not found:
        return None
    streams = sa.select(sa.func.count(_ALERTS.stream.distinct())).where(which)
    return Storm(
        kinds=len(found),
        alerts=sum(one["alerts"] for one in found),
        streams=connection.scalar(streams) or 0,
        count=sum(int(one["count"]) for one in found),
        first_seen=found[0]["first_seen"],
        last_seen=max(one["last_seen"] for one in found),
        revision=max(one["revision"] for one in found),
        acknowledged=sum(one["acknowledged"] for one in found),
        first=_said(found[0]),
        most=_said(max(found, key=lambda one: int(one["count"]))),
    )


def _said(kind: sa.RowMapping) -> str:
    of = f" of {kind['model_name']}" if kind["model_name"] else ""
    if kind["unknown"]:
        return f"unknown events{of}"
    observed, expected = kind["observed"][:_NAME], kind["expected"][:_NAME]
    return f"{kind['detector']}{of} saw {observed}, expected {expected}"
