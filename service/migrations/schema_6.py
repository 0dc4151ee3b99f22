"""Schema 6 knows what was said of an alert apart from how it stands: anomalous, and resolved."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """What was said last was how it stands."""
    op.add_column("alerts", sa.Column("verdict", sa.String, nullable=False, server_default=""))
    op.execute("UPDATE alerts SET verdict = status WHERE status IN ('normal', 'anomalous')")
    op.drop_index("alerts_by_age", "alerts")
    op.create_index("alerts_by_age", "alerts", ["changed", "verdict"])
