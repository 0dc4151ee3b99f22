"""Schema 5 knows many models; until then there was one, without a name."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Say so of what there is; shards move to a table that has the name."""
    for table in ("alerts", "suppressions"):
        name = sa.Column("model_name", sa.String, nullable=False, server_default="")
        if name.name not in {
            found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)
        }:
            op.add_column(table, name)
    op.create_table(
        "shards",
        sa.Column("model_name", sa.String, primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True),
        sa.Column("array", sa.String, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.execute(
        'INSERT INTO shards (model_name, shard, "array", part, data) '
        "SELECT '', shard, \"array\", part, data FROM states"
    )
    op.drop_table("states")
