"""How a service runs: addresses, bounds, where it keeps what."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..model.errors import InputError

BATCH_EVENTS = 65_536  # rows of one batch
LINE_CHARACTERS = 65_536  # of a raw line
MESSAGE_BYTES = 4 << 20  # of one message, decompressed
LOGS_BYTES = 20 << 20  # of one OTLP request, decompressed
REORDER_SECONDS = 60.0  # that an event may be held back, at most

# Of a model. It is also a folder's name, and a label.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class ServiceConfig:
    """Everything `serve` needs to know. An address is HOST:PORT; port 0 takes a free one.

    Bounds of memory are those of the whole service.
    """

    models: Mapping[str, Path]  # folders by name, of which "" is none
    grpc: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:9464"
    store: str = "sqlite:///offscript.db"
    lines: Path | None = None  # folder of raw lines; None: beside the store, if that is a file
    tls_cert: Path | None = None  # for both ports; PEM, as the two below
    tls_key: Path | None = None
    client_ca: Path | None = None  # clients must show a certificate that it has signed
    tokens: Path | None = None  # who may call, and for what; None: everybody, for everything
    alertmanager: str | None = None  # URL of one that is told of incidents
    webhook: str | None = None  # URL that incidents are posted to
    webhook_secret: Path | None = None  # what they are signed with
    incidents_per_hour: int = 10  # that begin and are told each by itself; others as one storm
    otlp_stream: tuple[str, ...] = ()  # attributes that make a log record's stream; docs/otlp.md
    otlp_model: str = ""  # the attribute that names a log record's model; "": the default one
    watch_model: bool = False  # serve another model as soon as it lies in the folder
    insecure: bool = False  # listen outside loopback without TLS or without tokens
    threads: int = 1  # scorer threads of each model; a stream belongs to one of them
    max_streams: int = 1_000_000  # remembered at a time; past that some are forgotten
    live_bytes: int = 1 << 30  # for fast scoring: what streams active last, and contexts, need
    queue_events: int = 262_144  # accepted and not scored yet, at most
    queue_seconds: float = 2.0  # that the oldest of them may have waited where more are accepted
    queue_bytes: int = 64 << 20
    buffered_alerts: int = 2_000  # that wait for the store, at most
    checkpoint_seconds: float = 5.0  # between two saves of the streams' state
    keep_days: float = 90.0  # an alert is deleted so long after it changed last
    max_alerts: int = 100_000  # kept; past that the longest unchanged are deleted
    max_alert_bytes: int = 2 << 30  # that those may take, as JSON; past that as above
    keep_audit_days: float = 365.0  # an entry of the audit trail is deleted so long after
    sender_events: float = 0.0  # a second, of a token or else of an address; 0: no limit
    sender_bytes: int = 0  # of the same, accepted and not scored yet; 0: no limit
    reorder_seconds: float = 0.0  # that an event waits for earlier ones of its stream; 0: none
    grace_seconds: float = 10.0  # for clients to finish when the service stops
    spool_bytes: int = 256 << 20  # raw lines kept on disk for alerts to come; 0: none
    redact: Path | None = None  # own patterns of what is secret in a line, besides the known ones

    def __post_init__(self) -> None:
        for name in self.models:
            if name and not _NAME.fullmatch(name):
                raise InputError(
                    "expected a model's name of a letter and up to 63 letters, digits, - . or _, "
                    f"got {name[:80]!r}"
                )
        if self.otlp_model and set(self.models) == {""}:
            raise InputError(
                "--otlp-model chooses among models by their names: give those as NAME=MODEL"
            )
        positive = ("threads", "max_streams", "live_bytes", "queue_events", "queue_bytes")
        kept = ("buffered_alerts", "max_alerts", "max_alert_bytes", "incidents_per_hour")
        for name in (*positive, *kept):
            if getattr(self, name) < 1:
                option = "live_megabytes" if name == "live_bytes" else name
                raise InputError(f"{option} is {getattr(self, name)}; it must be at least 1")
        not_negative = ("checkpoint_seconds", "grace_seconds", "spool_bytes")
        for name in (*not_negative, "sender_events", "sender_bytes"):
            if not getattr(self, name) >= 0:  # nor nan, which no limit is past
                raise InputError(f"{name} is {getattr(self, name)}; it must not be negative")
        for name in ("keep_days", "keep_audit_days"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be more than 0")
        if not 0 <= self.reorder_seconds <= REORDER_SECONDS:
            raise InputError(
                f"expected 0 to {REORDER_SECONDS:g} seconds for --reorder, got "
                f"{self.reorder_seconds:g}"
            )
        if self.webhook_secret is not None and self.webhook is None:
            raise InputError("--webhook-secret signs what --webhook sends: give that too")
        if not all(self.otlp_stream):
            raise InputError(
                "expected attribute names with commas between them for --otlp-stream, got "
                f"{','.join(self.otlp_stream)!r}"
            )
        self._check_security()

    @property
    def default(self) -> str:
        """The model that is meant where none is named: that without a name, else the first."""
        return "" if "" in self.models else next(iter(self.models))

    def share(self) -> ServiceConfig:
        """What one of the models may use: an even share of all that is bounded."""
        models = len(self.models)
        return replace(
            self,
            max_streams=max(1, self.max_streams // models),
            live_bytes=max(1, self.live_bytes // models),
            queue_events=max(1, self.queue_events // models),
            queue_bytes=max(1, self.queue_bytes // models),
            spool_bytes=self.spool_bytes // models,
        )

    def _check_security(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("expected --tls-cert and --tls-key together, got one of them")
        if self.client_ca is not None and self.tls_cert is None:
            raise InputError("--client-ca needs TLS: expected --tls-cert and --tls-key beside it")
        missing = [] if self.tls_cert is not None else ["--tls-cert and --tls-key"]
        missing += [] if self.tokens is not None else ["--tokens"]
        for address in (self.grpc, self.http):
            host, _ = split_address(address)
            if missing and not self.insecure and not is_loopback(host):
                raise InputError(
                    f"{address} can be reached from other machines, which needs "
                    f"{', and '.join(missing)}: give these, listen on 127.0.0.1, or allow it "
                    "without with --insecure"
                )


def split_address(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; the host of `[::1]:80` keeps its brackets."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(f"expected an address like 127.0.0.1:50051, got {address!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
