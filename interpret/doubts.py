"""What to know before believing an attribution, in sentences."""

from __future__ import annotations

import numpy as np

from .explanation import Attribution
from .paths import Paths
from .verify import cancels
from .window import Window

_FEW = 5  # a last event seen less often than this gives no reliable reference
_CANCELLING = 0.25  # share of all contributions from which a cancellation is worth a warning


def doubts(window: Window, attribution: Attribution, paths: Paths) -> list[str]:
    """Failed checks, paths that cancel, a last event that is little known."""
    warnings = [
        f"the check of `{evidence.event}`, {evidence.lag} back, failed: with other events in its "
        "place the total does not move as claimed"
        for evidence in attribution.evidence
        if evidence.check and evidence.check.verdict == "failed"
    ]
    heads = window.weights.n_heads
    first, virtual = (paths.evidence[0, part] for part in (slice(heads), slice(2 * heads, None)))
    notable = _CANCELLING * np.abs(paths.evidence[0].sum(axis=0)).sum()
    pairs = zip(first.sum(axis=0).tolist(), virtual.sum(axis=0).tolist(), strict=True)
    for source, (wrote, undone) in enumerate(pairs):
        if cancels(wrote, undone) and abs(wrote) + abs(undone) > notable:
            at = window.offset + source
            warnings.append(
                f"what layer 0 wrote about `{window.name(at)}`, {attribution.index - at} back, is "
                "undone by layer 1: the paths one by one say more than their sum"
            )
    token = window.alert.tokens[attribution.index - 1]
    seen = window.reference.last_count(token)
    if seen < _FEW and window.reference.pairs.size:
        warnings.append(
            f"`{attribution.last}`, the last event, was followed by another only {seen} times in "
            "training: what is usual after it is little known"
        )
    return warnings
