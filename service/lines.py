"""The raw lines beside a shard's events: kept on disk, and found again for an alert."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from ..model.alert import unknown
from ..model.finding import Finding
from ..model.vocabulary import END
from .feeding import joined
from .own_patterns import OwnPatterns
from .redaction import Redacted, redact
from .reorder import Order
from .rows import REPEAT_SECONDS
from .spool import Spool
from .ticket import Part

_CAUSES = 10_000  # of recent alerts that are remembered

Positions = Int64[np.ndarray, " events"] | None  # in the spool, −1 where there is none


class Lines:
    """Keeps lines in a spool, if there is one; one thread owns it."""

    def __init__(self, spool: Spool | None, own: OwnPatterns) -> None:
        self._spool = spool
        self._own = own
        self._causes: dict[tuple[str, str, int, int, bool], float] = {}  # of alerts, and when

    def __len__(self) -> int:
        """Bytes on disk."""
        return 0 if self._spool is None else len(self._spool)

    def keep(self, parts: Sequence[Part], order: Order | None) -> Positions:
        """Keep the lines of parts in the order in which their events are scored (None: as they
        lie); returns where each event's is.
        """
        if self._spool is None or all(part.lines is None for part in parts):
            return None
        if order is not None:
            return self._keep(self._spool, parts, order)
        kept = []
        for part in parts:
            if part.lines is None:
                kept.append(np.full(len(part.rows), -1, np.int64))
            else:
                kept.append(self._spool.append(part.rows.stream, part.lines, part.rows.time))
        return np.concatenate(kept)

    def _keep(self, spool: Spool, parts: Sequence[Part], order: Order) -> Positions:
        """A window is looked for from a stream's last line back, so they lie as they are scored."""
        rows = joined([part.rows for part in parts])
        lines: list[str | None] = []
        for part in parts:
            lines += part.lines or [None] * len(part.rows)
        pairs = [(at, line) for at in order.tolist() if (line := lines[at]) is not None]
        taken = np.array([at for at, _ in pairs], dtype=np.int64)
        own = rows.take(taken)
        kept = np.full(len(rows), -1, np.int64)
        kept[taken] = spool.append(own.stream, Redacted([line for _, line in pairs]), own.time)
        return kept

    def window(
        self, finding: Finding, part: Part | None, begin: int, positions: Positions
    ) -> list[str | None]:
        """The lines of a finding's events; `begin` is the part's first in the batch.

        A repeat only makes a count grow, so its lines are not looked for: in a storm of alerts that
        would be most of the work and of the memory.
        """
        lines: list[str | None] = [None] * len(finding.tokens)
        if self._spool is not None and not self._is_repeat(finding):
            position = None
            if positions is not None and finding.index >= 0 and positions[finding.index] >= 0:
                position = int(positions[finding.index])
            lines = list(self._spool.window(finding.stream, finding.times, position))
        lines[-1] = self._last(finding, part, begin)
        return lines

    def redacted(self, text: str) -> str:
        """The name that an event came with, without what is secret in it."""
        return redact([text], self._own)[0]

    def begin_anew(self) -> None:
        """Events have other numbers from now on, so no alert repeats one before."""
        self._causes.clear()

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def _last(self, finding: Finding, part: Part | None, begin: int) -> str | None:
        """The observed event's own line; an end has none."""
        if part is None or part.lines is None or finding.index < 0 or finding.token == END:
            return None
        return part.lines[finding.index - begin]

    def _is_repeat(self, finding: Finding) -> bool:
        new = unknown(finding.tokens, finding.span, finding.counts)
        cause = (finding.stream, finding.detector, finding.token, finding.expected, new)
        last = self._causes.pop(cause, -math.inf)
        self._causes[cause] = finding.time
        if len(self._causes) > _CAUSES:
            del self._causes[next(iter(self._causes))]
        return abs(finding.time - last) <= REPEAT_SECONDS
