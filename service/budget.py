"""How many incidents an hour are told each by itself; what begins past that is part of a storm."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from ..model.alert import Alert
from . import tables
from .database import text
from .incident import LASTING_SECONDS, UNKNOWN, kind_of

_HOUR_SECONDS = 3600.0
_GRAIN_SECONDS = 60.0  # between two updates of one row

_INCIDENTS = tables.incidents.c


class Budget:
    """The incidents of the last hour, as one transaction at unix time `now` finds and leaves them.

    What an incident is told as is decided when it begins, by the store's own clock, and holds while
    it lasts: sinks that come later, or a service that starts again, find it decided.
    """

    def __init__(
        self, connection: sa.Connection, alerts: Sequence[Alert], now: float, *, per_hour: int
    ) -> None:
        self._connection = connection
        self._now = now
        self._old: dict[str, bool] = {}  # those that last: kind → held
        self._new: dict[str, bool] = {}
        self._stale: dict[str, int] = {}  # kind → row that says too early a time
        self._changed: set[int] = set()
        self._left = per_hour
        if not alerts:
            return
        self._left -= connection.scalar(_SPENT, {"since": now - _HOUR_SECONDS}) or 0
        last = now - LASTING_SECONDS - _GRAIN_SECONDS
        asked = {"since": last, "kinds": list({_kind(alert) for alert in alerts})}
        for row, kind, changed, held in connection.execute(_LASTING, asked):
            self._old[kind] = held
            if changed <= now - _GRAIN_SECONDS:
                self._stale[kind] = row

    def holds(self, alert: Alert) -> bool:
        """Whether the alert's incident, which goes on or begins with it, is part of a storm."""
        kind = _kind(alert)
        if kind in self._stale:
            self._changed.add(self._stale[kind])
        if kind in self._old:
            return self._old[kind]
        if kind not in self._new:
            self._new[kind] = self._left <= 0
            self._left -= 1
        return self._new[kind]

    def save(self) -> int:
        """Put on record what began and went on; returns how many that began are held back."""
        now = self._now
        if self._changed:
            self._connection.execute(_LAST, [{"at": row, "now": now} for row in self._changed])
        if self._new:
            self._connection.execute(_FORGET, {"before": now - _HOUR_SECONDS})
            begun = {"began": now, "changed": now}
            rows = [{"kind": kind, "held": held, **begun} for kind, held in self._new.items()]
            self._connection.execute(sa.insert(tables.incidents), rows)
        return sum(self._new.values())


def _kind(alert: Alert) -> str:
    known = (alert.detector, text(alert.observed), text(alert.expected))
    return kind_of(alert.model_name, *(UNKNOWN if alert.unknown else known))


# Made once, as building a statement costs more than running it.
_SPENT = (
    sa.select(sa.func.count())
    .select_from(tables.incidents)
    .where(~_INCIDENTS.held, _INCIDENTS.began > sa.bindparam("since"))
)
_LASTING = (
    sa.select(_INCIDENTS.row, _INCIDENTS.kind, _INCIDENTS.changed, _INCIDENTS.held)
    .where(
        _INCIDENTS.kind.in_(sa.bindparam("kinds", expanding=True)),
        _INCIDENTS.changed > sa.bindparam("since"),
    )
    .order_by(_INCIDENTS.row)
)
_LAST = (
    sa.update(tables.incidents)
    .where(_INCIDENTS.row == sa.bindparam("at"))
    .values(changed=sa.bindparam("now"))
)
_FORGET = sa.delete(tables.incidents).where(_INCIDENTS.changed <= sa.bindparam("before"))
