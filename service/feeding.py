"""Rows of events into a detector, and what comes out of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int32, UInt32

from ..model.coded import Coded
from ..model.detector import Detector
from ..model.finding import Finding, Observed
from .batch import Rows
from .reorder import Order


def joined(rows: Sequence[Rows]) -> Rows:
    """The events of several batches, one after the other."""
    if len(rows) == 1:
        return rows[0]
    return Rows(
        stream=Coded.joined([Coded.of(each.stream) for each in rows]),
        name=Coded.joined([Coded.of(each.name) for each in rows]),
        time=np.concatenate([each.time for each in rows]),
    )


def feed_in(
    order: Order | None,
    detector: Detector,
    rows: Rows,
    *,
    started: Collection[str],
    most: int,
    source: Int32[np.ndarray, " events"],
    sender: UInt32[np.ndarray, " events"],
) -> Observed:
    """Have events scored in this order (None: as they lie); what comes out is as they lie."""
    if order is None:
        return feed(detector, rows, started=started, most=most, source=source, sender=sender)
    ordered, source, sender = rows.take(order), source[order], sender[order]
    observed = feed(detector, ordered, started=started, most=most, source=source, sender=sender)
    surprisal, entropy = np.empty_like(observed.surprisal), np.empty_like(observed.entropy)
    surprisal[order], entropy[order] = observed.surprisal, observed.entropy
    findings = [replace(found, index=int(order[found.index])) for found in observed.findings]
    return replace(observed, surprisal=surprisal, entropy=entropy, findings=findings)


def feed(
    detector: Detector,
    rows: Rows,
    *,
    started: Collection[str],
    most: int,
    source: Int32[np.ndarray, " events"] | int = 0,
    sender: UInt32[np.ndarray, " events"] | int = 0,
) -> Observed:
    """Have events scored, an eighth of `most` at a time, as no more streams than that are kept.

    Streams of the same piece make no room for others; of a few more senders have some to give up.
    """
    most = max(1, most // 8)
    if len(rows) <= most:
        return detector.observe(
            rows.stream, rows.name, rows.time, started=started, source=source, sender=sender
        )
    pieces = []
    for at in range(0, len(rows), most):
        piece = slice(at, at + most)
        observed = detector.observe(
            rows.stream[piece],
            rows.name[piece],
            rows.time[piece],
            started=started,
            source=source if isinstance(source, int) else source[piece],
            sender=sender if isinstance(sender, int) else sender[piece],
        )
        findings = [replace(found, index=found.index + at) for found in observed.findings]
        pieces.append(replace(observed, findings=findings))
    return Observed(
        surprisal=np.concatenate([piece.surprisal for piece in pieces]),
        entropy=np.concatenate([piece.entropy for piece in pieces]),
        findings=[found for piece in pieces for found in piece.findings],
        new=sum(piece.new for piece in pieces),
        evicted=sum(piece.evicted for piece in pieces),
        known=sum(piece.known for piece in pieces),
        late=sum(piece.late for piece in pieces),
    )


def strongest(findings: Sequence[Finding]) -> list[Finding]:
    """Of the detectors that one event made fire, the one with the highest score."""
    best: dict[tuple[int, int, int], Finding] = {}
    for finding in findings:
        event = (finding.index, finding.row, finding.position)
        if event not in best or finding.score > best[event].score:
            best[event] = finding
    return list(best.values())


def allowed(
    detector: Detector, events: int, observed: Observed, streams: int, watermark: float
) -> float:
    """False alerts that the budget allows for what so many events have added; the detector had so
    many streams and this watermark before.
    """
    config = detector.model.config.streams
    if config.endless:
        passed = (detector.watermark - watermark) / config.block_seconds
        # A block has an event; the first events of all, and those after a pause, begin one.
        judged = min(passed * len(detector), events) if passed > 0.0 else 0.0
    else:
        judged = len(detector) - streams + observed.evicted
    return judged * detector.model.calibration.rate
