"""A batch of events on its way through the service, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from ..model.coded import Coded
from .stored import StoredAlert


@dataclass(frozen=True)
class Batch:
    """Events as columns, a row an event or a raw line: either `names` or `lines` is given.

    Both: a row is a log record, `lines` its body, and its name goes before what that says, if it is
    not empty. A time that is nan is left to the body, too.

    `streams` None: raw lines carry their keys themselves, named events are of the stream "".
    `times` None: raw lines carry them, named events happen at `received`. All in unix seconds.
    """

    client: str
    seq: int
    streams: Sequence[str] | None
    names: Sequence[str] | None
    lines: list[str] | None
    times: Float64[np.ndarray, " rows"] | None
    received: float
    started: frozenset[str] = frozenset()
    ended: tuple[str, ...] = ()
    want_scores: bool = False
    size: int = 0  # bytes
    sources: Sequence[str] | None = None  # who says each row, where a client tells for others
    model: str = ""  # name of the one that is to score it; "": the default one

    def __len__(self) -> int:
        return len(self.names if self.names is not None else self.lines or ())


@dataclass(frozen=True)
class Rows:
    """What a batch says, one row an event, in order."""

    stream: Sequence[str]
    name: Sequence[str | None]
    time: Float64[np.ndarray, " events"]
    row: Int32[np.ndarray, " events"] | None = None  # of the batch; None: events are the rows
    source: Sequence[str] | None = None  # as in the batch
    unkeyed: int = 0
    continuations: int = 0
    broken: int = 0

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, index: Int64[np.ndarray, " taken"]) -> Rows:
        """Some of the events."""
        stream, name = Coded.of(self.stream), Coded.of(self.name)
        source = None if self.source is None else Coded.of(self.source).take(index)
        return Rows(stream.take(index), name.take(index), self.time[index], source=source)


@dataclass(frozen=True)
class Outcome:
    """What came of a batch, once the alerts that it raised are stored."""

    events: int
    unkeyed: int = 0
    continuations: int = 0
    broken: int = 0
    surprisal: Float32[np.ndarray, " events"] | None = None
    row: Int32[np.ndarray, " events"] | None = None
    alerts: tuple[StoredAlert, ...] = field(default_factory=tuple)
    repeated: bool = False
