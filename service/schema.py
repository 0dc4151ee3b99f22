"""The store's tables are made, or brought up to date by the revisions in migrations/ (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from ..model.alert import Alert
from . import tables

_FOLDER = Path(__file__).with_name("migrations")
_META = tables.meta.c


class Schema:
    """The tables as they stand on one connection, and as they have to be.

    `found` is the number of the schema that the store has, None of an empty one; `wanted` that
    which this version reads.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._revisions = ScriptDirectory(_FOLDER, version_locations=[_FOLDER])
        # What a revision needs of the product, as it is loaded outside of the package.
        opts = {"read_alert": Alert.from_json}
        self._context = MigrationContext.configure(connection, opts=opts)
        self.wanted = self._revisions.get_current_head()
        self.found = self._find()

    @property
    def known(self) -> bool:
        """Whether it can be brought up to date."""
        return self.found in {one.revision for one in self._revisions.walk_revisions()}

    def make(self) -> None:
        """Make the tables of an empty store."""
        tables.metadata.create_all(self._connection)
        self._stamp()

    def upgrade(self) -> None:
        """Apply the revisions since the one that was found."""
        missing = list(self._revisions.iterate_revisions(self.wanted, self.found))
        with Operations.context(self._context):
            for revision in reversed(missing):
                revision.module.upgrade()
        self._stamp()

    def _find(self) -> str | None:
        heads = self._context.get_current_heads()
        if heads:
            return ", ".join(heads)
        names = sa.inspect(self._connection).get_table_names()
        ours = tables.metadata.tables.keys() & names
        number = sa.select(_META.value).where(_META.key == "schema")
        said = self._connection.scalar(number) if tables.meta.name in ours else None
        return said or ("none" if ours else None)

    def _stamp(self) -> None:
        self._context.stamp(self._revisions, "head")
        # Versions of before schema 6 look here, and refuse what they find.
        self._connection.execute(sa.delete(tables.meta).where(_META.key == "schema"))
        number = {"key": "schema", "value": self.wanted}
        self._connection.execute(sa.insert(tables.meta).values(number))
