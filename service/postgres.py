"""Connections to PostgreSQL: none waits for ever, and the session that writes has the claim."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

_CLAIM = 0x0FF5C217  # locks that a program may use as it likes have numbers

# A network that fails says nothing: both ends look themselves, and give up within half a minute.
_BOUNDS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "options": "-c statement_timeout=8s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
    "-c tcp_keepalives_count=3 -c tcp_user_timeout=10s",
}


class Connection(psycopg.Connection[Any]):
    """One that fails where the server is silent for `silent_seconds` while it is waited for.

    TCP does not notice a server, or a proxy before it, that lives and does nothing.
    """

    silent_seconds = 10.0

    def wait(self, gen: Any, *args: Any, **named: Any) -> Any:
        return super().wait(self._bounded(gen), *args, **named)

    def _bounded(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The steps of psycopg's, which are told of no readiness a few times a second."""
        heard, ready = time.monotonic(), None
        while True:
            try:
                wanted = steps.send(ready)
            except StopIteration as end:
                return end.value
            ready = yield wanted
            now = time.monotonic()
            if ready:
                heard = now
            elif now - heard > self.silent_seconds:
                self.pgconn.finish()  # whether what was asked for is done, nobody knows
                raise psycopg.OperationalError(
                    f"the server has said nothing for {self.silent_seconds:g} s; see that it works "
                    "and can be reached"
                )


class Server:
    """A database of a server's. `writes` has one session at a time, which is the one to `hold`."""

    path = None

    def __init__(self, url: sa.URL) -> None:
        # No other process's: the server may not know that a session of ours is lost.
        self._name = f"offscript {uuid.uuid4()}"
        self.reads = _pool(url, "offscript")
        self.writes = _pool(url, self._name, pool_size=1, max_overflow=0)

    def hold(self, connection: sa.Connection) -> bool:
        """Whether this session has the claim, which it takes if nobody has it, or if only one has
        that it follows.
        """
        if not connection.info.get("claim"):
            ended = sa.text(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
                "WHERE application_name = :name AND pid <> pg_backend_pid()"
            )
            connection.execute(ended, {"name": self._name})
            taken = sa.select(sa.func.pg_try_advisory_lock(_CLAIM))
            connection.info["claim"] = connection.scalar(taken)
        return bool(connection.info["claim"])

    def sync(self, connection: sa.Connection, *, lasting: bool) -> None:
        """Whether the transaction is to survive a loss of the server's power, as far as it is set
        up to see to that.
        """
        if not lasting:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")

    @contextmanager
    def changing(self, connection: sa.Connection) -> Iterator[None]:
        """Let statements of this transaction take their time: to change large tables takes long."""
        driver: Any = connection.connection.driver_connection
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        driver.silent_seconds = math.inf
        try:
            yield
        finally:
            driver.silent_seconds = Connection.silent_seconds

    def close(self) -> None:
        self.reads.dispose()
        self.writes.dispose()


def _pool(url: sa.URL, name: str, **size: int) -> sa.Engine:
    """Bounded connections of this name; bounds that the URL has itself hold."""
    bounds = {key: value for key, value in _BOUNDS.items() if key not in url.query}
    arguments = {**bounds, "application_name": name}
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=arguments, **size)
    sa.event.listen(engine, "do_connect", _connect)
    return engine


def _connect(_: Any, __: Any, arguments: list[Any], named: dict[str, Any]) -> Connection:
    return Connection.connect(*arguments, **named)
