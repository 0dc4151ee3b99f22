"""Schema 2 knows when an alert changed; those that it finds count from now."""

import time

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Add the column."""
    changed = sa.Column("changed", sa.Float(53), nullable=False, server_default=str(time.time()))
    op.add_column("alerts", changed)
