"""Schema 1: where the revisions begin. New stores are made as tables.py has them."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """The tables are there."""
