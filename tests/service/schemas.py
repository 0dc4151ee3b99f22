"""Stores as earlier versions left them."""

from __future__ import annotations

import sqlalchemy as sa

from offscript.service import tables
from offscript.service.store import Store

_STATES = sa.Table(
    "states",
    sa.MetaData(),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("array", sa.String, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
_MECHANISMS = ("expected", "mechanism")


def leave_as(store: Store, schema: int) -> None:
    """Take out of a store what later schemas have brought, and close it."""
    with store._database.writing() as connection:
        run = connection.exec_driver_sql
        run("ALTER TABLE suppressions DROP COLUMN evidence")
        if schema < 8:
            run("ALTER TABLE alerts DROP COLUMN unknown")
        if schema < 7:
            run("DROP TABLE incidents")
            run("ALTER TABLE alerts DROP COLUMN held")
        run(f"UPDATE alembic_version SET version_num = '{schema}'")
        if schema < 6:
            run("DROP TABLE alembic_version")
            run("DROP INDEX alerts_by_age")
            run("ALTER TABLE alerts DROP COLUMN verdict")
        if 1 < schema < 6:
            run("CREATE INDEX alerts_by_age ON alerts (changed, status)")
        if schema < 5:
            _STATES.create(connection)
            columns = _STATES.columns.keys()
            kept = sa.select(*(tables.shards.c[name] for name in columns))
            connection.execute(_STATES.insert().from_select(columns, kept))
            for table in ("alerts", "suppressions"):
                run(f"ALTER TABLE {table} DROP COLUMN model_name")
            run("DROP TABLE shards")
        if schema < 4:
            run("DROP TABLE deeds")
        if schema < 3:
            run("DROP TABLE suppressions")
            run("DROP INDEX alerts_by_mechanism")
            for column in _MECHANISMS:
                run(f"ALTER TABLE alerts DROP COLUMN {column}")
        if schema < 2:
            run("DROP INDEX ix_alerts_model")
            run("ALTER TABLE alerts DROP COLUMN changed")
        run(f"UPDATE meta SET value = '{schema}' WHERE key = 'schema'")
    store.close()
