"""What changes for streams, for the terminal: alerts that come and go, and how scores move."""

from __future__ import annotations

import numpy as np

from ..interpret.words import clean, cut
from .compare import Judgement, Shift

ENDLESS = "Alerts of an endless log are judged by blocks of time: give a log with --streams"
_LISTED = 5  # streams of a kind


def shift_text(shift: Shift | None, what: str) -> str:
    """At most 96 columns; `what` names the streams, as in "held-out windows"."""
    if shift is None:
        return ENDLESS
    every = shift.judgements
    before = sum(judgement.alert_before for judgement in every)
    after = sum(judgement.alert_after for judgement in every)
    moved = np.abs([judgement.moved for judgement in every])
    lines = [
        f"{len(every):,} {what}: alerts in {before:,} before, {after:,} after",
        (
            f"  if all are normal, {budget(shift.rate_before, len(every))} false alerts are "
            f"budgeted before, {budget(shift.rate_after, len(every))} after"
        ),
        (
            f"  scores move by {np.median(moved):.2f} nats in the median, {moved.max():.2f} at "
            f"most; {int((moved >= 1.0).sum()):,} by 1 or more"
        ),
    ]
    for title, found in (("only after", shift.appeared()), ("only before", shift.vanished())):
        lines += [_line(title, judgement) for judgement in found[:_LISTED]]
        if len(found) > _LISTED:
            lines.append(
                f"  {title:<11}  … {len(found) - _LISTED:,} more; see all with card --diff --json"
            )
    return "\n".join(map(cut, lines))


def _line(title: str, judgement: Judgement) -> str:
    return (
        f"  {title:<11}  {judgement.before:6.1f} → {judgement.after:6.1f} (thresholds "
        f"{judgement.threshold_before:.1f}, {judgement.threshold_after:.1f})  "
        f"{clean(judgement.stream)}"
    )


def budget(rate: float, streams: int) -> str:
    """How many of so many normal streams may raise an alert."""
    return f"{rate * streams:.2g}"
