"""What to know before believing an attribution, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model.vocabulary import NEW, PAST
from .directions import headline, softmax
from .explanation import Attribution
from .paths import Paths, expand
from .skips import DOUBLED
from .verify import cancels
from .window import Window, receptive_field, whole
from .words import times

_FEW = 5  # a last event seen less often than this says little of what comes after it
_PHANTOM = 0.1  # share of the total from which a rule that nothing taught is worth a warning
_CANCELLING = 0.25  # share of all contributions from which a cancellation is worth a warning


def doubts(window: Window, attribution: Attribution, paths: Paths) -> tuple[str, ...]:
    """A context cut short, what no model can know, rules that training never showed, failed checks,
    paths that cancel, and a last event that is little known.
    """
    return (
        *_cut_short(window),
        *_unknowable(window, attribution),
        *_phantoms(window, attribution),
        *_failed(attribution, window.weights.n_layers),
        *_cancelling(window, paths),
        *_rare(window, attribution),
    )


def _cut_short(window: Window) -> Iterator[str]:
    field = receptive_field(window.weights)
    if not whole(window.alert, window.index, field):
        yield f"only {window.index} of the {field} events that the score depends on are at hand"


def _unknowable(window: Window, attribution: Attribution) -> Iterator[str]:
    tokens, index = window.alert.tokens, attribution.index
    used = sorted({1, *(evidence.lag for evidence in attribution.evidence)})
    unseen = [lag for lag in used if tokens[index - lag] == NEW]
    if unseen:
        places = " and ".join("right before" if lag == 1 else f"{lag} back" for lag in unseen)
        yield (
            f"training never showed what came {places}: to the model all such events are one, "
            "whatever their lines say"
        )
    if any(tokens[index - lag] == PAST for lag in used):
        yield (
            "this stream was joined in the middle: the model does not know what came before, and "
            "expects what is usual whatever it was"
        )


def _phantoms(window: Window, attribution: Attribution) -> Iterator[str]:
    """Evidence that makes an event likely which training never showed there.

    A head moves an event's logit after every last event alike, so a model holds rules that nothing
    taught it. Only what raises the expected is one: to lower what came needs no support.
    """
    suspects = [
        (evidence, evidence.support.chances)
        for evidence in attribution.evidence
        if evidence.support is not None
        and not evidence.support.count
        and evidence.value >= _PHANTOM * abs(attribution.total)
    ]
    if not suspects:
        return
    logits, observed = window.activations.logits[-1], window.alert.tokens[attribution.index]
    expected = list(headline(logits, observed).against)
    others = window.reference.base_rates()
    others[observed] = 0.0
    w = -others / others.sum()
    w[expected] += softmax(logits[expected])
    paths = expand(window.weights, window.activations, w[None], window.reference)
    raised = paths.evidence[0].sum(axis=0)
    for evidence, chances in suspects:
        if raised[evidence.source - window.offset] >= DOUBLED:
            both = f"`{evidence.event}`, here {evidence.lag} back, before `{attribution.last}`"
            shown = f"showed {both} {times(chances)}, at any distance, and no expected event next"
            yield (
                f"phantom: training {shown if chances else f'never showed {both}'}; what the model "
                "makes of it there, it has from elsewhere"
            )


def _failed(attribution: Attribution, n_layers: int) -> Iterator[str]:
    for evidence in attribution.evidence:
        if evidence.check and evidence.check.verdict == "failed":
            steers = ""
            if evidence.lag == 1 and n_layers:
                steers = "; it also decides where the heads look"
            yield (
                f"the check of `{evidence.event}`, {evidence.lag} back, failed: with other events "
                f"in its place the total does not move as claimed{steers}"
            )


def _cancelling(window: Window, paths: Paths) -> Iterator[str]:
    heads = window.weights.n_heads
    first, virtual = (paths.evidence[0, part] for part in (slice(heads), slice(2 * heads, None)))
    notable = _CANCELLING * np.abs(paths.evidence[0].sum(axis=0)).sum()
    pairs = zip(first.sum(axis=0).tolist(), virtual.sum(axis=0).tolist(), strict=True)
    for source, (wrote, undone) in enumerate(pairs):
        if cancels(wrote, undone) and abs(wrote) + abs(undone) > notable:
            at = window.offset + source
            yield (
                f"what layer 0 wrote about `{window.name(at)}`, {window.index - at} back, is "
                "undone by layer 1: the paths one by one say more than their sum"
            )


def _rare(window: Window, attribution: Attribution) -> Iterator[str]:
    token = window.alert.tokens[window.index - 1]
    seen = window.reference.last_count(token)
    # Of an event that is none of the log's something else has been said.
    if seen < _FEW and token not in (NEW, PAST) and window.reference.pairs.size:
        yield (
            f"`{attribution.last}`, the last event, was followed by another only {seen} times in "
            "training: what is expected after it rests on little"
        )
