"""The alert store's database, SQLite or PostgreSQL, with errors in one clear line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from ..model.errors import InputError, StoreError
from .schema import Schema
from .sqlite import File

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


class _Place(Protocol):
    """Where a database is: what differs between a file and a server."""

    @property
    def path(self) -> Path | None: ...
    @property
    def reads(self) -> sa.Engine: ...
    @property
    def writes(self) -> sa.Engine: ...
    def hold(self, connection: sa.Connection) -> bool: ...
    def changing(self, connection: sa.Connection) -> AbstractContextManager[None]: ...
    def sync(self, connection: sa.Connection, *, lasting: bool) -> None: ...
    def close(self) -> None: ...


class Database:
    """Transactions of one database, made ready with our tables; any thread may call.

    Writers wait for each other here, as SQLite has only one.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._one_writer = threading.Lock()
        self._claimed = False
        self._driver_error: type[Exception] = sa.exc.DBAPIError
        with self._clear_errors():
            self._place = self._open()
            driver = self._place.reads.dialect.dbapi
            assert driver is not None, "an engine has one"
            self._driver_error = driver.Error
        try:
            with self.writing() as connection, self._place.changing(connection):
                self._bring_up_to_date(connection)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path | None:
        """The database's file, if it is one."""
        return self._place.path

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read from; StoreError if that fails."""
        with self._clear_errors(), self._place.reads.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, lasting: bool = True) -> Iterator[sa.Connection]:
        """A transaction, committed at the end; StoreError if that fails, and nothing is written.
        One that is not `lasting` may be lost with the machine's power, though not with the service.

        Nor is anything once the database is claimed and another service has it: a server that loses
        the session with the claim gives it to the next one, and nobody notices until here.
        """
        with self._one_writer, self._clear_errors(), self._place.writes.begin() as connection:
            self._place.sync(connection, lasting=lasting)
            if self._claimed:
                self._hold(connection)
            yield connection

    def claim(self) -> None:
        """Be the only service that uses the database, until `close`; StoreError if another does.

        Two services would save the state of their streams over each other's.
        """
        with self.writing() as connection:
            self._hold(connection)

    def close(self) -> None:
        self._place.close()

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def _open(self) -> _Place:
        if self._url.get_backend_name() == "sqlite":
            return File(self._url)
        from .postgres import Server  # its driver need not be there

        return Server(self._url)

    def _hold(self, connection: sa.Connection) -> None:
        if not self._place.hold(connection):
            raise StoreError(
                f"alert store {self} is in use by another service; stop that one, or give each "
                "its own with --store"
            )
        self._claimed = True

    def _bring_up_to_date(self, connection: sa.Connection) -> None:
        schema = Schema(connection)
        if schema.found is None:
            schema.make()
        elif not schema.known:
            raise StoreError(
                f"alert store {self} has schema {schema.found}, this version reads schema "
                f"{schema.wanted}: use the version that wrote it, or another store"
            )
        elif schema.found != schema.wanted:
            self._hold(connection)  # an earlier version that still runs could write no more
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
