"""What the store hands out: alerts with what was said of them; and which of them are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ..interpret.explanation import Said, Similar
from ..model.alert import Alert
from . import tables
from .database import text

RIGHT_OR_NOT = ("normal", "anomalous")  # verdicts on the alert itself, which trainings ask for
HANDLED = ("acknowledged", "resolved")  # somebody is on it; it was dealt with


@dataclass(frozen=True)
class Feedback:
    """What one person said of an alert or did with it; `time` in unix seconds."""

    verdict: str  # of RIGHT_OR_NOT or HANDLED, or open: what was done is taken back
    comment: str
    by: str
    time: float


Mechanism = Sequence[tuple[str, str]]
"""Events that speak most for an alert, and how; see interpret/mechanism.py."""


@dataclass(frozen=True)
class StoredAlert:
    """An alert as it stands in the store."""

    row: int  # grows with every new alert
    revision: int  # grows with every change of any alert
    alert: Alert
    feedback: tuple[Feedback, ...] = ()
    status: str = "open"  # or normal, anomalous, suppressed, acknowledged, resolved

    def similar(self, rests_on: Mechanism | None, own: Mechanism) -> Similar:
        """This alert, and what it rests on if that is known, beside another that rests on `own`."""
        return Similar(
            alert=self.alert.id,
            stream=self.alert.stream,
            time=self.alert.time,
            count=self.alert.count,
            status=self.status,
            feedback=tuple(Said(**vars(said)) for said in self.feedback),
            evidence=tuple(event for event, _ in rests_on or ()),
            same=None if rests_on is None else rests_on[:1] == own[:1],
        )


@dataclass(frozen=True)
class Filter:
    """Which alerts are meant; what is left out lets all pass, but no suppressed ones."""

    model: str | None = None  # its name
    stream: str | None = None
    detector: str = ""
    status: str = ""  # as in StoredAlert; normal and anomalous: also if handled since
    since: float = -math.inf  # last seen then or later, unix seconds

    def __call__(self, query: sa.Select[Any]) -> sa.Select[Any]:
        column = tables.alerts.c
        if self.model is not None:
            query = query.where(column.model_name == text(self.model))
        if self.stream is not None:
            query = query.where(column.stream == text(self.stream))
        if self.detector:
            query = query.where(column.detector == self.detector)
        if self.status in RIGHT_OR_NOT:
            query = query.where(column.verdict == self.status)
        elif self.status:
            query = query.where(column.status == self.status)
        else:
            query = query.where(column.status != "suppressed")
        if self.since > -math.inf:
            query = query.where(column.last_seen >= self.since)
        return query
