"""The alert store: alerts, what people say of them, the streams' state, and the models."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from ..model.alert import Alert
from ..model.errors import NotFoundError
from . import audit, incident, storm, suppression, tables
from .arrays import Saved, load_arrays, save_arrays
from .audit import LOCAL, Deed
from .config import ServiceConfig
from .database import Database, text
from .incident import Incident
from .placing import Placing
from .retention import Forgotten, forget, last_numbers
from .rows import GROW, read_row, standing
from .stored import Feedback, Filter, StoredAlert
from .storm import Storm
from .suppression import Grounds, Suppression, Wish, not_known, suppression_of


class Store:
    """All that outlives the service. Any thread may call; every method may raise StoreError."""

    def __init__(
        self,
        url: str,
        *,
        lines: Path | None = None,
        incidents_per_hour: int = ServiceConfig.incidents_per_hour,
    ) -> None:
        self._database = Database(url)
        self._lines = lines
        self._incidents_per_hour = incidents_per_hour
        self.incidents_held = 0  # that began past the budget since the store was opened
        self._models_in_use: list[str] = []  # one as often as it was kept

    @property
    def lines(self) -> Path | None:
        """The folder of raw lines: where it was said, else beside the database's file."""
        if self._lines is not None:
            return self._lines / "offscript.lines"
        path = self._database.path
        return None if path is None else path.with_name(f"{path.name}.lines")

    @property
    def revision(self) -> int:
        """The revision of the last change."""
        with self._database.reading() as connection:
            return last_numbers(connection)[1]

    def write(
        self,
        alerts: Sequence[Alert],
        states: Sequence[tuple[str, int, Saved]] = (),
        deeds: Sequence[Deed] = (),
        *,
        grounds: Grounds = not_known,
    ) -> list[StoredAlert]:
        """Store alerts, the state of shards, and what was done elsewhere, in one transaction.

        What each becomes is told in `placing.py`; `grounds` say what an alert rests on.
        """
        now = time.time()
        # Nobody waits for state, which is a few seconds old when it is needed, but the first and
        # the last piece: between them no start may take it for whole.
        lasting = bool(alerts or deeds) or any(
            saved.first or saved.complete for *_, saved in states
        )
        with self._database.writing(lasting=lasting) as connection:
            last_row, revision = last_numbers(connection) if alerts else (0, 0)
            placing = Placing(
                connection,
                alerts,
                now,
                last_row=last_row,
                incidents_per_hour=self._incidents_per_hour,
                grounds=grounds,
            )
            became = [placing.row_of(alert) for alert in alerts]
            changed = {row.row: row for row in became}
            for row in changed.values():
                revision += 1
                row.revision, row.changed = revision, now
            new = placing.new
            added = [{**new[at], **vars(row)} for at, row in changed.items() if at in new]
            grown = [row.grown() for at, row in changed.items() if at not in new]
            if added:
                connection.execute(sa.insert(tables.alerts), added)
            if grown:
                connection.execute(GROW, grown)
            suppression.count(connection, placing.suppressed)
            held = placing.budget.save()
            for state in states:
                save_arrays(connection, *state)
            for deed in deeds:
                audit.note(connection, deed)
        self.incidents_held += held
        return [row.stored(alert) for row, alert in zip(became, alerts, strict=True)]

    def alerts(self, which: Filter, *, limit: int, before: int | None = None) -> list[StoredAlert]:
        """Alerts, newest first; only rows before `before`."""
        table = tables.alerts
        query = which(sa.select(table)).order_by(table.c.row.desc()).limit(limit)
        return self._select(query if before is None else query.where(table.c.row < before))

    def changes(self, which: Filter, *, after: int, limit: int) -> list[StoredAlert]:
        """Alerts that changed after revision `after`, in the order of their last change."""
        table = tables.alerts
        query = which(sa.select(table)).where(table.c.revision > after)
        return self._select(query.order_by(table.c.revision).limit(limit))

    def alert(self, id: str) -> StoredAlert:  # noqa: A002 - the field's name everywhere
        """One alert by its id, or by the beginning of one that no other alert has."""
        begins = tables.alerts.c.id.startswith(text(id), autoescape=True)
        found = self._select(sa.select(tables.alerts).where(begins).limit(2)) if id else []
        if not found:
            raise NotFoundError(
                f"there is no alert {id[:64]!r}, or no longer; `offscript alerts` lists those kept"
            )
        if len(found) > 1:
            raise NotFoundError(f"several alerts begin with {id[:64]!r}; give more of the id")
        return found[0]

    def similar(self, alert: Alert, *, limit: int) -> list[StoredAlert]:
        """Other alerts of the same mechanism and model, newest first, suppressed ones too."""
        column = tables.alerts.c
        same = (column.mechanism == alert.mechanism) & (column.id != alert.id)
        same &= column.model_name == alert.model_name
        query = sa.select(tables.alerts).where(same)
        return self._select(query.order_by(column.row.desc()).limit(limit))

    def incidents(
        self, *, changed_after: float | None = None, revisions: tuple[int, int] | None = None
    ) -> list[Incident]:
        """Incidents of the alerts that changed after a unix time, or in revisions (after, last];
        by revisions only of those that nobody is on yet. Those held back are a storm.
        """
        with self._database.reading() as connection:
            return incident.read(connection, incident.changed(changed_after, revisions))

    def storm(
        self, *, changed_after: float | None = None, revisions: tuple[int, int] | None = None
    ) -> Storm | None:
        """The storm of the same alerts that are held back, if there are any."""
        with self._database.reading() as connection:
            return storm.read(connection, incident.changed(changed_after, revisions))

    def cursor(self, sink: str) -> int | None:
        """The revision up to which a sink has told of alerts; None before the first time."""
        query = sa.select(tables.cursors.c.revision).where(tables.cursors.c.sink == sink)
        with self._database.reading() as connection:
            return connection.scalar(query)

    def move_cursor(self, sink: str, revision: int) -> None:
        table = tables.cursors
        with self._database.writing() as connection:
            connection.execute(sa.delete(table).where(table.c.sink == sink))
            connection.execute(sa.insert(table).values(sink=sink, revision=revision))

    def suppressions(self) -> list[Suppression]:
        """All that are on record, newest first."""
        with self._database.reading() as connection:
            return suppression.read(connection)

    def revoke(self, id: str, *, who: str = LOCAL) -> Suppression:  # noqa: A002
        """End a suppression now, given by its id or the beginning of it."""
        with self._database.writing() as connection:
            return suppression.revoke(connection, text(id), time.time(), who)

    def record(
        self,
        id: str,  # noqa: A002
        verdict: str,
        comment: str,
        by: str,
        wish: Wish | None = None,
        *,
        who: str = LOCAL,
        grounds: Grounds = not_known,
    ) -> tuple[StoredAlert, Suppression | None]:
        """Record what was said of an alert or done with it; returns it with all its feedback.

        With a wish its mechanism is suppressed from now on, and open alerts of it and of the same
        `grounds` are set so. `by` is what the caller says, `who` whose token it has.
        """
        found = self.alert(id)
        row = found.row
        said = {"verdict": verdict, "comment": text(comment), "by": text(by)}
        now = time.time()
        with self._database.writing() as connection:
            revision = last_numbers(connection)[1] + 1
            judged = connection.execute(
                sa.update(tables.alerts)
                .where(tables.alerts.c.row == row)
                .values(**standing(verdict), revision=revision, changed=now)
            )
            if judged.rowcount:  # else it was deleted a moment ago
                connection.execute(sa.insert(tables.feedback).values(alert=row, time=now, **said))
                what = f"alert {found.alert.id} is {verdict}" + (f", says {by}" if by else "")
                audit.note(connection, Deed(now, who, "verdict", what))
            quiet = None
            if wish is not None and judged.rowcount:
                quiet = suppression_of(found.alert, wish, now=now, comment=comment, by=by)
                suppression.add(connection, quiet, revision=revision, grounds=grounds)
                audit.note(connection, Deed(now, who, "suppression", quiet.said))
        return self.alert(found.alert.id), quiet

    def deeds(
        self, *, since: float = -math.inf, limit: int, before: int | None = None
    ) -> list[Deed]:
        """The audit trail since a unix time, newest first; only rows before `before`."""
        with self._database.reading() as connection:
            return audit.read(connection, since=since, limit=limit, before=before)

    def forget_deeds(self, *, before: float) -> None:
        """Delete what of the audit trail is older than a unix time."""
        with self._database.writing() as connection:
            audit.forget(connection, before=before)

    def forget(self, *, before: float, most: int, most_bytes: float = math.inf) -> Forgotten:
        """Delete a batch of alerts that last changed before that unix time, or are past `most` or
        `most_bytes`.
        """
        used = self._models_in_use
        with self._database.writing() as connection:
            return forget(connection, before=before, most=most, most_bytes=most_bytes, models=used)

    def keep_model(self, sha256: str, files: Mapping[str, bytes]) -> None:
        """Keep a model's files until it is released, and then while there are alerts of it."""
        table = tables.models
        self._models_in_use.append(sha256)
        with self._database.writing() as connection:
            known = sa.select(table.c.file).where(table.c.sha256 == sha256).limit(1)
            if connection.scalar(known) is None:
                rows = [{"sha256": sha256, "file": name, "data": files[name]} for name in files]
                connection.execute(sa.insert(table), rows)

    def release_model(self, sha256: str) -> None:
        """No more alerts will come of it than are stored."""
        self._models_in_use.remove(sha256)

    def model_files(self, sha256: str) -> dict[str, bytes]:
        """A kept model's files by name."""
        table = tables.models
        query = sa.select(table.c.file, table.c.data).where(table.c.sha256 == sha256)
        with self._database.reading() as connection:
            found = {row.file: bytes(row.data) for row in connection.execute(query)}
        if not found:
            raise NotFoundError(f"model {sha256[:12]} is not in the alert store")
        return found

    def state(self, model: str, shard: int) -> dict[str, NDArray[np.generic]]:
        """The arrays saved last for a shard of the model of this name; empty if none were."""
        with self._database.reading() as connection:
            return load_arrays(connection, model, shard)

    def drop_states(self, model: str, *, shards: int) -> None:
        """Forget the arrays of all shards of this model but the first ones."""
        table = tables.shards
        left = (table.c.model_name == model) & (table.c.shard >= shards)
        with self._database.writing() as connection:
            connection.execute(sa.delete(table).where(left))

    def states(self) -> set[str]:
        """Names of the models whose shards' arrays are saved."""
        with self._database.reading() as connection:
            return set(connection.scalars(sa.select(tables.shards.c.model_name).distinct()))

    def claim(self) -> None:
        """Be the only service that uses the store, until `close`."""
        self._database.claim()

    def close(self) -> None:
        self._database.close()

    def _select(self, query: sa.Select[Any]) -> list[StoredAlert]:
        table = tables.feedback
        said: dict[int, list[Feedback]] = {}
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
            if rows:
                those = [row["row"] for row in rows]
                entries = sa.select(table).where(table.c.alert.in_(those)).order_by(table.c.row)
                for entry in connection.execute(entries):
                    said.setdefault(entry.alert, []).append(
                        Feedback(entry.verdict, entry.comment, entry.by, entry.time)
                    )
        return [read_row(row, tuple(said.get(row["row"], ()))) for row in rows]
