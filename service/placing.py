"""Which row each alert of a transaction becomes: one of its own, or one that grows.

An alert of a cause (model, stream, detector, observed event, whether unknown events explain it)
that was seen less than `REPEAT_SECONDS` ago only makes that alert's count grow, unless it was
resolved. One whose mechanism is suppressed is stored as such, if its `grounds` are those of the
suppression, and if the last that was said of its cause is not that it is right. What begins an
incident past `incidents_per_hour` is held back.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from ..model.alert import Alert
from . import suppression
from .budget import Budget
from .incident import FIRING
from .rows import LAST, LAST_QUIET, Cause, Row, cause_of, columns, is_anomalous, last_of
from .suppression import Grounds


class Placing:
    """Of one transaction. `new` holds what never changes of the rows that are new, `suppressed` a
    suppression's id for each alert that it covered, `budget` the incidents, which are to be saved.
    """

    def __init__(
        self,
        connection: sa.Connection,
        alerts: Sequence[Alert],
        now: float,
        *,
        last_row: int,
        incidents_per_hour: int,
        grounds: Grounds,
    ) -> None:
        self._connection = connection
        self._now = now
        self._last_row = last_row
        self._grounds = grounds
        self._quiet = suppression.active(connection, now) if alerts else {}
        self._rows: dict[tuple[Cause, bool], Row] = {}  # by cause, and whether it is kept quiet
        self.budget = Budget(connection, alerts, now, per_hour=incidents_per_hour)
        self.new: dict[int, dict[str, object]] = {}
        self.suppressed: list[str] = []

    def row_of(self, alert: Alert) -> Row:
        """The row, with the alert counted in."""
        cause, by = cause_of(alert), self._covered_by(alert)
        if by is not None:
            self.suppressed.append(by)
        # What is kept quiet has a row of its own: others of its cause are heard.
        which = LAST if by is None else LAST_QUIET
        row = self._rows.get((cause, by is not None)) or last_of(self._connection, alert, which)
        if row is None or row.is_over(alert):
            row = self._begin(alert, "open" if by is None else "suppressed")
        row.count += alert.count
        row.last_seen = max(row.last_seen, alert.last_seen)
        # One that somebody called right is told, however many incidents begin.
        if row.status in FIRING and row.verdict != "anomalous":
            row.held = self.budget.holds(alert)
        self._rows[cause, by is not None] = row
        return row

    def _covered_by(self, alert: Alert) -> str | None:
        if not self._quiet:
            return None
        by = suppression.covering(self._quiet, alert, self._grounds)
        return None if by is None or is_anomalous(self._connection, alert) else by

    def _begin(self, alert: Alert, status: str) -> Row:
        self._last_row += 1
        at, seen = self._last_row, (alert.first_seen, alert.last_seen)
        self.new[at] = columns(alert)
        return Row(at, alert.id, 0, self._now, 0, *seen, status)
