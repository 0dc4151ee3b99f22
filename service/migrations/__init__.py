"""What each schema of the alert store changed, as revisions of Alembic; schema.py applies them.

A revision means the same for ever: it names tables and columns as they were, not as tables.py has
them now. They run in one transaction, on SQLite too.
"""
