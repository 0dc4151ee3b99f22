"""What changes for streams, as a section of a page: alerts that come and go."""

from __future__ import annotations

import numpy as np

from ..interpret.markup import Markup
from ..interpret.page import facts, note, section, table
from ..interpret.words import clean
from .compare import Judgement, Shift
from .shift_text import ENDLESS, budget

_LISTED = 50  # streams of a kind


def shift_section(shift: Shift | None, what: str) -> Markup:
    """`what` names the streams, as in "held-out windows"."""
    if shift is None:
        return section("Alerts", note(f"{ENDLESS}."))
    every = shift.judgements
    moved = np.abs([judgement.moved for judgement in every])
    told = facts(
        [
            ("Judged", f"{len(every):,} {what}"),
            ("Alerts before", f"{sum(each.alert_before for each in every):,}"),
            ("Alerts after", f"{sum(each.alert_after for each in every):,}"),
            (
                "False alerts budgeted, if all are normal",
                f"{budget(shift.rate_before, len(every))} → {budget(shift.rate_after, len(every))}",
            ),
            ("Scores move by", f"{np.median(moved):.2f} nats (median), {moved.max():.2f} at most"),
        ]
    )
    tables = [
        _table(title, found)
        for title, found in (
            ("Alerts only after", shift.appeared()),
            ("Alerts only before", shift.vanished()),
        )
        if found
    ]
    return section("Alerts", told, *tables)


def _table(title: str, found: list[Judgement]) -> Markup:
    caption = f"{title}, highest score first; nats"
    if len(found) > _LISTED:
        caption += f" ({_LISTED} of {len(found):,}; all with --json)"
    rows = [
        (
            clean(each.stream),
            *(
                f"{score:.1f} ({threshold:.1f})".replace("-", "−")
                for score, threshold in (
                    (each.before, each.threshold_before),
                    (each.after, each.threshold_after),
                )
            ),
        )
        for each in found[:_LISTED]
    ]
    return table(caption, ("Stream", "before (threshold)", "after (threshold)"), rows)
