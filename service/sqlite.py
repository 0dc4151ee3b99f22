"""A database in a file: who may read it, how it is opened, and who has the claim to it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_BUSY_MILLISECONDS = 5000


class File:
    """A file of SQLite's, which is made if there is none."""

    def __init__(self, url: sa.URL) -> None:
        self.path = Path(str(url.database)).absolute()
        self._claim: int | None = None  # the file that is locked
        # It holds raw lines: nobody else's to read. SQLite gives its other files the same mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self.reads = self.writes = sa.create_engine(url)
        sa.event.listen(self.reads, "connect", _prepare)

    def hold(self, _: sa.Connection) -> bool:
        """Whether this process has the claim, which it takes if nobody has it."""
        if self._claim is None:
            # Not the database's own file: SQLite has locks of its own on that.
            file = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._claim = file
        return True

    @contextmanager
    def changing(self, connection: sa.Connection) -> Iterator[None]:
        """Make one transaction of changes of tables, each of which the driver would commit."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield

    def close(self) -> None:
        self.reads.dispose()
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None


def _prepare(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # what is acknowledged survives a loss of power
    cursor.close()
