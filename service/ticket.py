"""A batch under way: split by the shards that own its streams, joined when all are done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from zlib import crc32

import numpy as np
from jaxtyping import Float32, Int, Int64

from ..model.coded import Coded
from .batch import Batch, Outcome, Rows
from .redaction import Redacted
from .stored import StoredAlert


@dataclass(frozen=True)
class Part:
    """What one shard gets of a batch."""

    ticket: Ticket
    shard: int
    rows: Rows
    lines: Redacted | None  # raw, one a row
    started: frozenset[str]
    ended: tuple[str, ...]
    index: Int64[np.ndarray, " events"] | None = None  # of its events in the batch; None: all

    def piece(self, index: Int64[np.ndarray, " some"], *, last: bool) -> Part:
        """Some of its events and, by the numbers that follow theirs, of the streams that it ends;
        they are scored and answered for by themselves. After the `last` nothing of it is left.
        """
        n, lines = len(self.rows), self.lines
        if last and len(index) == n + len(self.ended):
            return self
        if not last:
            self.ticket.expect_more()
        events, ended = index[index < n], index[index >= n] - n
        return replace(
            self,
            rows=self.rows.take(events),
            lines=None if lines is None else _taken(lines, events),
            ended=tuple(self.ended[at] for at in ended.tolist()),
            index=events if self.index is None else self.index[events],
        )


@dataclass(frozen=True)
class PartOutcome:
    """What came of a part, once its alerts are stored."""

    surprisal: Float32[np.ndarray, " events"]
    alerts: tuple[StoredAlert, ...] = ()
    repeated: bool = False


_KEY = os.urandom(16)


def account_of(sender: str) -> int:
    """The sender as a number from 1, which nobody can choose who does not know the key."""
    digest = blake2b(sender.encode(), key=_KEY, digest_size=4).digest()
    return int.from_bytes(digest) or 1


class Ticket:
    """A batch's future. `left_queue` is called when the batch has been scored, or has failed.

    `sender` is who sent it: a token's name, or an address.
    """

    def __init__(self, batch: Batch, left_queue: Callable[[Batch], None], sender: str = "") -> None:
        self.batch = batch
        self.sender = batch.client or f"@{sender}"
        self.account = account_of(sender)
        self.future: Future[Outcome] = Future()
        self._left_queue = left_queue
        self._lock = threading.Lock()
        self._rows = Rows([], [], np.zeros(0))
        self._scoring = self._waiting = 1  # parts
        self._outcomes: list[tuple[Part, PartOutcome]] = []

    def split(self, rows: Rows, lines: Redacted | None, shards: int) -> list[Part]:
        """The parts of the batch that go to each shard; at least one, so that something answers.

        `lines` are those of the batch, one a row of it.
        """
        self._rows = rows
        batch, row = self.batch, rows.row
        if lines and row is not None and not np.array_equal(row, np.arange(len(lines))):
            lines = _taken(lines, row)
        if shards == 1:
            return [Part(self, 0, rows, lines, batch.started, batch.ended)]
        stream = Coded.of(rows.stream)
        of_key = [shard_of(key, shards) for key in stream.values]
        owner = np.array(of_key, dtype=np.int64)[stream.codes]
        marked = {shard_of(stream, shards) for stream in (*batch.started, *batch.ended)}
        parts = []
        for shard in sorted({*owner.tolist(), *marked}) or [0]:
            index = np.flatnonzero(owner == shard)
            parts.append(
                Part(
                    ticket=self,
                    shard=shard,
                    rows=rows.take(index),
                    lines=None if lines is None else _taken(lines, index),
                    started=frozenset(s for s in batch.started if shard_of(s, shards) == shard),
                    ended=tuple(s for s in batch.ended if shard_of(s, shards) == shard),
                    index=index,
                )
            )
        self._scoring = self._waiting = len(parts)
        return parts

    @property
    def events(self) -> int:
        """Of the batch, once it is split."""
        return len(self._rows)

    def expect_more(self) -> None:
        """A part comes in one piece more."""
        with self._lock:
            self._scoring += 1
            self._waiting += 1

    def scored(self) -> None:
        """A part has been scored; its alerts may not be stored yet."""
        with self._lock:
            self._scoring -= 1
            last = self._scoring == 0
        if last:
            self._left_queue(self.batch)

    def done(self, part: Part, outcome: PartOutcome) -> None:
        """A part has been scored and its alerts are stored."""
        with self._lock:
            self._outcomes.append((part, outcome))
            self._waiting -= 1
            last = self._waiting == 0
        if last:
            with suppress(InvalidStateError):  # it failed, or whoever asked has given up
                self.future.set_result(self._join())

    def fail(self, error: Exception) -> None:
        """A part could not be scored."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)

    def _join(self) -> Outcome:
        repeated = any(outcome.repeated for _, outcome in self._outcomes)
        surprisal = None
        if self.batch.want_scores and not repeated:
            surprisal = np.zeros(len(self._rows), np.float32)
            for part, outcome in self._outcomes:
                surprisal[slice(None) if part.index is None else part.index] = outcome.surprisal
        alerts = {
            stored.alert.id: stored
            for _, outcome in self._outcomes
            for stored in outcome.alerts
            if stored.status != "suppressed"
        }
        return Outcome(
            events=len(self._rows),
            unkeyed=self._rows.unkeyed,
            continuations=self._rows.continuations,
            broken=self._rows.broken,
            surprisal=surprisal,
            row=None if surprisal is None else self._rows.row,
            alerts=tuple(alerts.values()),
            repeated=repeated,
        )


def _taken(lines: Redacted, index: Int[np.ndarray, " some"]) -> Redacted:
    return Redacted([lines[at] for at in index.tolist()])


def shard_of(stream: str, shards: int) -> int:
    """The shard that owns a stream, the same in every run."""
    return crc32(stream.encode()) % shards
