"""The alert store's database, SQLite or PostgreSQL, with errors in one clear line."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..model.errors import InputError, StoreError
from .schema import Schema

_BUSY_MILLISECONDS = 5000
_CLAIM = 0x0FF5C217  # PostgreSQL's locks that a program may use as it likes have numbers

# (in the database's message, what to do about it)
_ADVICE = {
    "is full": "make room on that disk",
    "No space left": "make room on that disk",
    "is locked": "another program holds it; close that one",
    "not a database": "it is another kind of file; give another one with --store",
    "unable to open": "see that its folder exists and can be written",
    "readonly": "see that the file and its folder can be written",
    "psycopg": "install offscript[postgres]",
}


class Database:
    """Transactions of one database, made ready with our tables; any thread may call.

    Writers wait for each other here, as SQLite has only one.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._one_writer = threading.Lock()
        self._claim = ExitStack()
        self._claimed = False
        self._driver_error: type[Exception] = sa.exc.DBAPIError
        with self._clear_errors():
            self._engine = self._connect()
            driver = self._engine.dialect.dbapi
            assert driver is not None, "an engine has one"
            self._driver_error = driver.Error
        try:
            with self.writing() as connection:
                self._bring_up_to_date(connection)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path | None:
        """The database's file, if it is one."""
        sqlite = self._url.get_backend_name() == "sqlite"
        return Path(str(self._url.database)).absolute() if sqlite else None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read from; StoreError if that fails."""
        with self._clear_errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end; StoreError if that fails, and nothing is written."""
        with self._one_writer, self._clear_errors(), self._engine.begin() as connection:
            yield connection

    def claim(self) -> None:
        """Be the only service that uses the database, until `close`; StoreError if another does.

        Two services would save the state of their streams over each other's.
        """
        if self._claimed:
            return
        with self._clear_errors():
            if not (self._claim_server() if self.path is None else self._claim_file(self.path)):
                raise StoreError(
                    f"alert store {self} is in use by another service; stop that one, or give each "
                    "its own with --store"
                )
        self._claimed = True

    def close(self) -> None:
        self._claim.close()
        self._engine.dispose()

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def _claim_server(self) -> bool:
        connection = self._claim.enter_context(self._engine.connect())
        connection.execution_options(isolation_level="AUTOCOMMIT")
        return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_CLAIM))))

    def _claim_file(self, path: Path) -> bool:
        # Not the database's own file: SQLite has locks of its own on that.
        file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._claim.callback(os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _connect(self) -> sa.Engine:
        if self.path is None:
            return sa.create_engine(self._url, pool_pre_ping=True)
        # It holds raw lines: nobody else's to read. SQLite gives its other files the same mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        engine = sa.create_engine(self._url)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine

    def _bring_up_to_date(self, connection: sa.Connection) -> None:
        if self.path is not None:  # else its driver would commit every change of a table by itself
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        schema = Schema(connection)
        if schema.found is None:
            schema.make()
        elif not schema.known:
            raise StoreError(
                f"alert store {self} has schema {schema.found}, this version reads schema "
                f"{schema.wanted}: use the version that wrote it, or another store"
            )
        elif schema.found != schema.wanted:
            self.claim()  # an earlier version that still runs could write nothing any more
            schema.upgrade()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, self._driver_error, OSError, ImportError) as error:
            raise StoreError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        said = " ".join(str(cause).split())
        advice = [advice for part, advice in _ADVICE.items() if part in said]
        return ": ".join([f"alert store {self}", said, *advice[:1]])


def text(value: str) -> str:
    """PostgreSQL takes no NUL in a text."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        name = parsed.get_backend_name()
    except sa.exc.SQLAlchemyError:
        name = ""
    if name == "postgresql" and parsed.database:
        return parsed.set(drivername="postgresql+psycopg")
    if name == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise InputError(
        "expected an alert store like sqlite:///alerts.db or postgresql://USER@HOST/DATABASE, got "
        f"{url!r}"
    )


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # survives a killed process
    cursor.close()
