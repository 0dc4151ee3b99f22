"""What one sender may send: events a second, and bytes that wait to be scored."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import unquote

from .config import ServiceConfig
from .errors import LimitError
from .metrics import Metrics

SENDER = ContextVar("SENDER", default="")
"""Who sends what is handled just now: a token's name, or an address where there are no tokens."""

BURST_SECONDS = 10.0  # of its rate that a sender may send at once after a rest
_RETRY_SECONDS = 0.2  # after which some of what waits will have been scored
_SENDERS = 10_000  # that are remembered
_NAMED = 100  # of those that met a limit, in the metric; the others are one


def address_of(peer: str) -> str:
    """The address of what gRPC calls a peer: `ipv4:HOST:PORT`, `ipv6:[HOST]:PORT`, its brackets
    and what else there may be written as in a URL.
    """
    return unquote(peer.partition(":")[2].rpartition(":")[0]).strip("[]")


@dataclass
class _Account:
    seen: float  # on the monotonic clock
    owed: float = 0.0  # events that its rate has not made good yet
    bytes: int = 0  # accepted and not scored yet


class Allowance:
    """Keeps account of senders; the caller sees to it that one thread does at a time."""

    def __init__(self, config: ServiceConfig, metrics: Metrics) -> None:
        self._rate = config.sender_events
        self._most_bytes = config.sender_bytes
        self._metric = metrics.events_limited
        self._accounts: dict[str, _Account] = {}  # who sent last is last
        self._named: set[str] = set()

    def take(self, sender: str, events: int, size: int) -> None:
        """Count what a sender sends; LimitError, and nothing is counted, if it is too much now.

        What is larger than a limit by itself is taken when nothing else is on the account.
        """
        account = self._account(sender)
        over = account.owed + events - BURST_SECONDS * self._rate
        if self._rate and account.owed and over > 0.0:
            wait = min(account.owed, over) / self._rate
            raise self._refusal(sender, events, f"{self._rate:,g} events a second", wait)
        if self._most_bytes and account.bytes and account.bytes + size > self._most_bytes:
            limit = f"{self._most_bytes:,} bytes that wait to be scored"
            raise self._refusal(sender, events, limit, _RETRY_SECONDS)
        account.owed += events
        account.bytes += size

    def scored(self, sender: str, size: int) -> None:
        """What was taken waits no more."""
        self._account(sender).bytes -= size

    def _account(self, sender: str) -> _Account:
        now = time.monotonic()
        account = self._accounts.pop(sender, None) or _Account(now)
        account.owed = max(0.0, account.owed - self._rate * (now - account.seen))
        account.seen = now
        self._accounts[sender] = account
        oldest = next(iter(self._accounts))
        if len(self._accounts) > _SENDERS and not self._accounts[oldest].bytes:
            del self._accounts[oldest]
        return account

    def _refusal(self, sender: str, events: int, limit: str, seconds: float) -> LimitError:
        if len(self._named) < _NAMED:
            self._named.add(sender)
        self._metric.labels(sender if sender in self._named else "others").inc(events)
        return LimitError(
            f"{sender[:64]} may send {limit}, and {events:,} events more are too many now; send "
            "them again later",
            retry_seconds=seconds,
        )
