"""A database in a file: who may read it, how it is opened, and who has the claim to it."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_BUSY_MILLISECONDS = 5000
_COPY_SECONDS = 1.0  # between two copies of what was committed from the log to the file
_LOG_PAGES = 4096  # of 4 kB: a commit copies what is left of a log that is never at rest


class File:
    """A file of SQLite's, which is made if there is none."""

    def __init__(self, url: sa.URL) -> None:
        self.path = Path(str(url.database)).absolute()
        self._claim: int | None = None  # the file that is locked
        # It holds raw lines: nobody else's to read. SQLite gives its other files the same mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self.reads = self.writes = sa.create_engine(url)
        sa.event.listen(self.reads, "connect", _prepare)
        self._closing = threading.Event()
        self._copying = threading.Thread(target=self._copy, name="sqlite", daemon=True)

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
            self._copying.start()
        return True

    def sync(self, connection: sa.Connection, *, lasting: bool) -> None:
        """Whether the transaction that begins now is to survive a loss of power, for which its
        commit waits for the disk. Without that it may be lost, and what came before it never.
        """
        level = "FULL" if lasting else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")

    @contextmanager
    def changing(self, connection: sa.Connection) -> Iterator[None]:
        """Make one transaction of changes of tables, each of which the driver would commit."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield

    def close(self) -> None:
        self._closing.set()
        if self._claim is not None:
            self._copying.join()
        self.reads.dispose()
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _copy(self) -> None:
        """Copy what was committed from the log to the file. SQLite has whoever commits do that, and
        alerts would wait meanwhile; here none does.
        """
        while not self._closing.wait(_COPY_SECONDS):
            # A file that cannot be written is told by who writes next.
            with suppress(sa.exc.SQLAlchemyError), self.reads.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def _prepare(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
    cursor.close()
