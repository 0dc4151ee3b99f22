"""Schema 9 knows what an alert that was suppressed rests on; before, its kind alone counted."""

import sqlalchemy as sa
from alembic import op

revision = "9"
down_revision = "8"


def upgrade() -> None:
    """Nothing is known of those that there are, so that they hold for their kind as before."""
    evidence = sa.Column("evidence", sa.Text, nullable=False, server_default="[]")
    op.add_column("suppressions", evidence)
