"""One connection to the shop's database, and the shop that hands them out."""

from __future__ import annotations

import itertools
import random
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, LiteralString

import psycopg

from offscript.examples.postgres.server import Server

Value = str | int | float | list[int]

LOGINS = ("web", "partner", "batch", "monitor", "staff")
END = "disconnection"
FIRST_HELPER = 10_000_000  # sessions that others open beside them are numbered from here


class Session:
    """A connection that pauses before each statement and remembers what was said.

    `history` has the statements, an "ERROR" after each that failed, and END last: what the
    server's log has of it, in the same order.
    """

    def __init__(self, shop: Shop, user: str, application: str, rng: random.Random) -> None:
        self.rng = rng
        self.history: list[str] = []
        self._pace = shop.pace
        self._opened = time.time()
        self._connection = psycopg.connect(
            **shop.address(user),
            password=shop.server.password,
            application_name=application,
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,  # values stand in the statement
        )
        self.backend = self._connection.info.backend_pid

    @property
    def opened(self) -> float:
        """Unix time just before the server was asked for the connection."""
        return self._opened

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def think(self) -> None:
        """A pause, as a program or a person takes it between two statements."""
        time.sleep(self._pace * min(0.002 + self.rng.expovariate(1 / 0.035), 0.15))

    def run(self, statement: LiteralString, *values: Value) -> list[tuple[Any, ...]]:
        """The rows that one statement returns."""
        self.think()
        self.history.append(statement)
        try:
            cursor = self._connection.execute(statement, values or None)
        except psycopg.Error:
            self.history.append("ERROR")
            raise
        return cursor.fetchall() if cursor.description else []

    def copy_out(self, statement: LiteralString) -> None:
        """Runs a COPY … TO STDOUT and takes all it sends."""
        self.think()
        self.history.append(statement)
        with self._connection.cursor().copy(statement) as rows:
            for _ in rows:
                pass

    def idle_out(self) -> None:
        """Says nothing until the server hangs up."""
        select.select([self._connection], [], [], 30)

    def close(self) -> None:
        self.think()
        self.history.append(END)
        self._connection.close()

    def first(self, beginning: str, after: int = -1) -> int:
        """The place in the history of the first statement past `after` that so begins."""
        for place in range(after + 1, len(self.history)):
            if self.history[place].startswith(beginning):
                return place
        raise LookupError(f"no {beginning!r} after {after} in {self.history}")

    def last(self, beginning: str) -> int:
        """The place in the history of the last statement that so begins."""
        places = [i for i, said in enumerate(self.history) if said.startswith(beginning)]
        if not places:
            raise LookupError(f"no {beginning!r} in {self.history}")
        return places[-1]


@dataclass
class Shop:
    """The shop on its server. Numbers tell sessions apart, so two never need the same row."""

    server: Server
    seed: int
    pace: float = 1.0  # pauses are so many times as long
    helpers: itertools.count[int] = field(default_factory=lambda: itertools.count(FIRST_HELPER))
    revocable: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def furnish(cls, server: Server, seed: int, pace: float) -> Shop:
        """A shop with its tables, roles and first data."""
        with server.connect() as connection:
            connection.execute("CREATE DATABASE shop")
        schema = (resources.files(__package__) / "schema.sql").read_text()
        with server.connect("shop") as connection:
            connection.execute(schema.encode())
            for login in LOGINS:
                name = psycopg.sql.Identifier(login)
                connection.execute(
                    psycopg.sql.SQL("ALTER ROLE {} PASSWORD %s").format(name), (server.password,)
                )
        return cls(server, seed, pace)

    def address(self, user: str) -> dict[str, Any]:
        """Where and as whom to connect."""
        return {"host": "127.0.0.1", "port": self.server.port, "user": user, "dbname": "shop"}

    def rng(self, number: int) -> random.Random:
        return random.Random(f"{self.seed}/{number}")

    @contextmanager
    def session(self, user: str, application: str, number: int) -> Iterator[Session]:
        """A session that is closed at the end, as its client would."""
        session = Session(self, user, application, self.rng(number))
        try:
            yield session
        finally:
            session.close()
