"""The tables of the alert store, the same on SQLite and PostgreSQL.

A change of them needs a revision in migrations/, which brings the stores that there are up to date.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
_row = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in INTEGER columns

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("row", _row, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False, index=True),  # of the last change of the row
    Column("changed", Float(53), nullable=False),  # when, by the service's own clock, unix seconds
    Column("model", String, nullable=False, index=True),
    Column("model_name", String, nullable=False),  # under which it was served
    Column("stream", Text, nullable=False),
    Column("detector", String, nullable=False),
    Column("observed", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("mechanism", String, nullable=False),
    Column("first_seen", Float(53), nullable=False),
    Column("last_seen", Float(53), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("status", String, nullable=False),  # open, suppressed, or what was said
    Column("verdict", String, nullable=False),  # normal or anomalous, as was said last; else empty
    Column("held", Boolean, nullable=False),  # its incident is told as part of a storm
    Column("unknown", Boolean, nullable=False),  # its incident is that of unknown events
    Column("alert", Text, nullable=False),  # as JSON, with the scored window, when first raised
)
Index("alerts_by_cause", alerts.c.stream, alerts.c.detector, alerts.c.observed, alerts.c.row)
Index("alerts_by_mechanism", alerts.c.mechanism, alerts.c.row)
Index("alerts_by_age", alerts.c.changed, alerts.c.verdict)

incidents = Table(  # of the last hour, as they began; a kind comes again after its end
    "incidents",
    metadata,
    Column("row", _row, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False, index=True),  # as in incident.py
    Column("began", Float(53), nullable=False),
    Column("changed", Float(53), nullable=False, index=True),
    Column("held", Boolean, nullable=False),
)

Index("incidents_by_begin", incidents.c.held, incidents.c.began)

feedback = Table(
    "feedback",
    metadata,
    Column("row", _row, primary_key=True, autoincrement=True),
    Column("alert", BigInteger, nullable=False, index=True),  # its row
    Column("verdict", String, nullable=False),
    Column("comment", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("time", Float(53), nullable=False),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("row", _row, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("alert", String, nullable=False),  # the id of the one that it was made of
    Column("model_name", String, nullable=False),
    Column("mechanism", String, nullable=False),
    Column("detector", String, nullable=False),
    Column("observed", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("evidence", Text, nullable=False),  # names of events as JSON, the strongest first
    Column("stream", Text),  # null: everywhere
    Column("comment", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created", Float(53), nullable=False),
    Column("until", Float(53), nullable=False),
    Column("revoked", Float(53)),
    Column("count", BigInteger, nullable=False),
)

deeds = Table(  # who did what; rows are added, and deleted when they are old, and never changed
    "deeds",
    metadata,
    Column("row", _row, primary_key=True, autoincrement=True),
    Column("time", Float(53), nullable=False, index=True),
    Column("who", String, nullable=False),
    Column("action", String, nullable=False),
    Column("what", Text, nullable=False),
)

cursors = Table(  # up to which revision a sink has told of alerts
    "cursors",
    metadata,
    Column("sink", String, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

models = Table(  # their folders' files, so that an old alert is explained by the model it came from
    "models",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("file", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

shards = Table(  # what each goes on from: arrays, those of its streams in parts
    "shards",
    metadata,
    Column("model_name", String, primary_key=True),
    Column("shard", Integer, primary_key=True),
    Column("array", String, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
