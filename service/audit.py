"""The audit trail: who did what, and when. Comments, tokens and lines of logs are no part of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from . import tables
from .database import text

LOCAL = "local"  # whoever calls a service without tokens, or sends it a signal

_DEEDS = tables.deeds.c


@dataclass(frozen=True)
class Deed:
    """What one caller did: a verdict, suppression, revocation, reload, or what was read again."""

    time: float  # unix seconds
    who: str  # name of the token, or LOCAL
    action: str
    what: str
    row: int = 0  # grows with every deed


def note(connection: sa.Connection, deed: Deed) -> None:
    """Add a deed, in the transaction that does it."""
    values = {**asdict(deed), "what": text(deed.what)}
    del values["row"]
    connection.execute(sa.insert(tables.deeds).values(values))


def read(connection: sa.Connection, *, since: float, limit: int, before: int | None) -> list[Deed]:
    """Deeds since a unix time, newest first; only rows before `before`."""
    query = sa.select(tables.deeds).where(_DEEDS.time >= since).order_by(_DEEDS.row.desc())
    if before is not None:
        query = query.where(_DEEDS.row < before)
    return [Deed(**row._asdict()) for row in connection.execute(query.limit(limit))]


def forget(connection: sa.Connection, *, before: float) -> None:
    """Delete those that are older than a unix time."""
    connection.execute(sa.delete(tables.deeds).where(_DEEDS.time < before))
