"""The alert store's database, SQLite or PostgreSQL, with errors in one clear line."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..model.alert import Alert
from ..model.errors import InputError, StoreError
from . import tables

_BUSY_MILLISECONDS = 5000
_CLAIM = 0x0FF5C217  # PostgreSQL's locks that a program may use as it likes have numbers

_OLDER = ("1", "2", "3", "4")  # schemas that are brought up to date

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
            tables.metadata.create_all(self._engine)
        try:
            with self.writing() as connection:
                self._check_schema(connection)
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

    def _check_schema(self, connection: sa.Connection) -> None:
        table = tables.meta
        found = connection.scalar(sa.select(table.c.value).where(table.c.key == "schema"))
        if found is None:
            connection.execute(sa.insert(table).values(key="schema", value=str(tables.SCHEMA)))
        elif found in _OLDER:
            self.claim()  # an earlier version that still runs could write nothing any more
            _upgrade(connection, found)
        elif found != str(tables.SCHEMA):
            raise StoreError(
                f"alert store {self} has schema {found}, this version reads schema "
                f"{tables.SCHEMA}: use the version that wrote it, or another store"
            )

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


def _upgrade(connection: sa.Connection, schema: str) -> None:
    """Schema 3 had no audit trail, which is a table of its own and is there by now."""
    table = tables.meta
    number = sa.update(table).where(table.c.key == "schema")
    # First, as SQLite's driver begins a transaction with a change of rows, not with one of tables.
    connection.execute(number.values(value=str(tables.SCHEMA)))
    if schema in ("1", "2"):
        _add_mechanisms(connection, schema)
    _add_names(connection, schema)


def _add_names(connection: sa.Connection, schema: str) -> None:
    """Schema 4 knew one model, which had no name, and kept its shards in a table without one.
    Suppressions came with schema 3.
    """
    for table in ("alerts", "suppressions")[: 1 if schema in ("1", "2") else 2]:
        add = f"ALTER TABLE {table} ADD COLUMN model_name VARCHAR NOT NULL DEFAULT ''"
        connection.execute(sa.text(add))
    connection.execute(
        sa.text(
            'INSERT INTO shards (model_name, shard, "array", part, data) '
            "SELECT '', shard, \"array\", part, data FROM states"
        )
    )
    connection.execute(sa.text("DROP TABLE states"))


def _add_mechanisms(connection: sa.Connection, schema: str) -> None:
    """Schema 1 did not know when an alert changed: those it holds count from now. Schema 2 had what
    was expected in the alert's JSON alone, and knew no mechanism.
    """
    add = "ALTER TABLE alerts ADD COLUMN"
    if schema == "1":
        connection.execute(sa.text(f"{add} changed FLOAT NOT NULL DEFAULT {time.time()}"))
    for column in ("expected", "mechanism"):
        connection.execute(sa.text(f"{add} {column} TEXT NOT NULL DEFAULT ''"))
    alerts = tables.alerts.c
    last = 0
    while rows := connection.execute(_SOME.where(alerts.row > last)).all():
        found = [(row.row, Alert.from_json(json.loads(row.alert))) for row in rows]
        connection.execute(
            _MECHANISM,
            [
                {"at": at, "name": text(alert.expected), "digits": alert.mechanism}
                for at, alert in found
            ],
        )
        last = rows[-1].row
    for index in tables.alerts.indexes:
        index.create(connection, checkfirst=True)


_SOME = sa.select(tables.alerts.c.row, tables.alerts.c.alert).order_by(tables.alerts.c.row)
_SOME = _SOME.limit(1000)
_MECHANISM = (
    sa.update(tables.alerts)
    .where(tables.alerts.c.row == sa.bindparam("at"))
    .values(expected=sa.bindparam("name"), mechanism=sa.bindparam("digits"))
)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # survives a killed process
    cursor.close()
