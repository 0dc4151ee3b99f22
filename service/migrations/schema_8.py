"""Schema 8 knows which alerts unknown events explain: they are one incident."""

import json

import sqlalchemy as sa
from alembic import op

revision = "8"
down_revision = "7"

_ROWS = 1000  # in memory at a time

_ALERTS = sa.table("alerts", *map(sa.column, ("row", "alert", "unknown")))
_SOME = sa.select(_ALERTS.c.row, _ALERTS.c.alert).order_by(_ALERTS.c.row).limit(_ROWS)
_MARK = sa.update(_ALERTS).values(unknown=sa.true())


def upgrade() -> None:
    """Fill in the column from the alerts' windows."""
    unknown = sa.Column("unknown", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("alerts", unknown)
    connection, read_alert = op.get_bind(), op.get_context().opts["read_alert"]
    last = 0
    while rows := connection.execute(_SOME.where(_ALERTS.c.row > last)).all():
        found = [row.row for row in rows if read_alert(json.loads(row.alert)).unknown]
        connection.execute(_MARK.where(_ALERTS.c.row.in_(found)))
        last = rows[-1].row
