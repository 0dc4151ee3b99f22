"""Schema 7 knows when incidents began, and which are told as part of a storm."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Those that go on begin anew."""
    held = sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("alerts", held)
    op.create_table(
        "incidents",
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("kind", sa.String, nullable=False, index=True),
        sa.Column("began", sa.Float(53), nullable=False),
        sa.Column("changed", sa.Float(53), nullable=False, index=True),
        sa.Column("held", sa.Boolean, nullable=False),
    )
    op.create_index("incidents_by_begin", "incidents", ["held", "began"])
