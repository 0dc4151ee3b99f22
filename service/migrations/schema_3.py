"""Schema 3 keeps mechanisms quiet; what alerts expected was in their JSON alone."""

import json

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

_ROWS = 1000  # in memory at a time

_ALERTS = sa.table("alerts", *map(sa.column, ("row", "alert", "expected", "mechanism")))
_SOME = sa.select(_ALERTS.c.row, _ALERTS.c.alert).order_by(_ALERTS.c.row).limit(_ROWS)
_FILL = (
    sa.update(_ALERTS)
    .where(_ALERTS.c.row == sa.bindparam("at"))
    .values(expected=sa.bindparam("name"), mechanism=sa.bindparam("digits"))
)


def upgrade() -> None:
    """Fill in the columns, and make what later queries look alerts up by."""
    for name, kind in (("expected", sa.Text), ("mechanism", sa.String)):
        op.add_column("alerts", sa.Column(name, kind, nullable=False, server_default=""))
    _fill()
    op.create_index("ix_alerts_model", "alerts", ["model"], if_not_exists=True)
    op.create_index("alerts_by_mechanism", "alerts", ["mechanism", "row"], if_not_exists=True)
    op.create_index("alerts_by_age", "alerts", ["changed", "status"], if_not_exists=True)
    op.create_table(
        "suppressions",
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        *(
            sa.Column(name, kind, nullable=False)
            for name, kind in (
                ("alert", sa.String),
                ("mechanism", sa.String),
                ("detector", sa.String),
                ("observed", sa.Text),
                ("expected", sa.Text),
            )
        ),
        sa.Column("stream", sa.Text),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
        sa.Column("revoked", sa.Float(53)),
        sa.Column("count", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )


def _fill() -> None:
    connection, read_alert = op.get_bind(), op.get_context().opts["read_alert"]
    last = 0
    while rows := connection.execute(_SOME.where(_ALERTS.c.row > last)).all():
        found = [(row.row, read_alert(json.loads(row.alert))) for row in rows]
        values = [
            {
                "at": at,
                "name": alert.expected.replace("\0", "\N{REPLACEMENT CHARACTER}"),
                "digits": alert.mechanism,
            }
            for at, alert in found
        ]
        connection.execute(_FILL, values)
        last = rows[-1].row
