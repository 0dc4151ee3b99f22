"""An alert explained by the exact decomposition of the detector that raised it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from ..model.alert import DETECTORS, Alert
from ..model.errors import InputError
from ..model.kernels import LEVEL_PRIOR
from ..model.vocabulary import NEW
from .activations import Activations, ending, predict, run
from .attribute import attribute
from .counterfactual import Instead, instead, repair
from .counts import split_counts
from .directions import entropy, headline, own_expectation, surprisal
from .doubts import doubts
from .explanation import DetectorShare, Excess, Explanation
from .readable import Readable
from .reference import read_reference
from .unseen import split_unseen
from .window import Window, receptive_field, whole

Array = np.ndarray

_EVENT = DETECTORS.index("event")
_WORST = 3  # drift and level: events of the span that are attributed at most …
_NOTABLE = 0.1  # … if they add this share of what the largest does


def explain(
    model: Readable, alert: Alert, *, later: Sequence[int] = (), checks: bool = True
) -> Explanation:
    """Why `alert` was raised, from the weights alone, in float64.

    `checks` replaces events by others and scores again: each piece of evidence, and what may have
    made the alert a normal event; they take most of the time. `later` are the tokens that came
    after the alert's, as far as they are known. InputError if the alert was raised by a model of
    another vocabulary.
    """
    d_vocab = model.weights.d_vocab
    tokens = (*alert.tokens, *alert.counts)
    if tokens and not 0 <= min(tokens) <= max(tokens) < d_vocab:
        raise InputError(
            f"alert {alert.id} holds token {max(tokens)}, the model's vocabulary has {d_vocab}; "
            "explain it with the model that raised it"
        )
    if alert.detector == "counts":
        return _counts(model, alert)
    if len(alert.tokens) < 2:
        raise InputError(
            f"alert {alert.id} holds {len(alert.tokens)} tokens; an explanation needs the observed "
            "one and at least one before it"
        )
    if alert.detector == "stream":
        return _together(model, alert, later, checks)
    if alert.detector in ("drift", "level"):
        return _summed(model, alert, later, checks)
    return _surprising(model, alert, later, checks)


def _surprising(model: Readable, alert: Alert, later: Sequence[int], checks: bool) -> Explanation:
    """event, end, new: the observed event against what was expected in its place."""
    observed = len(alert.tokens) - 1
    window = _window(model, alert, observed)
    attribution, paths = attribute(window, headline, checks=checks)
    # After an end nothing comes, and an unseen event is one whatever came before.
    after = checks and alert.detector != "end"
    before = checks and alert.tokens[observed] != NEW
    # Where part of its context is missing, it may be normal already.
    before = before and attribution.surprise.surprisal > alert.limit
    odd = _event_limit(model, alert)
    other = instead(window, later, odd) if after else None
    unseen = split_unseen(alert.statistic) if alert.detector == "new" else None
    if other and unseen:
        other = _judged(other, alert, math.log2(unseen.count + later.count(NEW)))
    return _explanation(
        alert,
        view=attribution.view,
        total=attribution.total,
        recomputed=attribution.surprise.surprisal,
        served=alert.surprisal,
        attributions=(attribution,),
        unseen=unseen,
        instead=other,
        repair=repair(window, alert.limit, odd) if before else None,
        warnings=doubts(window, attribution, paths),
    )


def _summed(model: Readable, alert: Alert, later: Sequence[int], checks: bool) -> Explanation:
    """drift: C = Σ (S − H − κ) over the span; level: L = Σ (S − ū) / (n + 20) over the stream.

    Each event has a window of its own, out of one run over all that is at hand. An event is listed
    if all that the last layer sees of its context is there; what is left of the statistic is that
    of the events before, and what older context would change. The events that add most are split.
    """
    observed = len(alert.tokens) - 1
    field = receptive_field(model.weights)
    ran = run(model.weights.astype(np.float64), np.array(alert.tokens[:-1]))
    added = _added(model, alert, ran.logits)
    span = [
        index
        for index in range(max(1, observed + 1 - alert.span), observed + 1)
        if whole(alert, index, min(field, model.weights.window))
    ]
    shares = [
        Excess(
            index=index,
            event=model.vocabulary.names[alert.tokens[index]],
            lag=observed - index,
            value=float(added[index - 1]),
            whole=whole(alert, index, field),
        )
        for index in span
    ]
    shares.sort(key=lambda share: -share.value)
    least = _NOTABLE * shares[0].value if shares else 0.0
    worst = [share for share in shares[:_WORST] if share.value > 0.0 and share.value >= least]
    windows = [_window(model, alert, share.index, ran) for share in worst]
    explained = [attribute(window, own_expectation, checks=checks) for window in windows]
    recomputed = sum(share.value for share in shares)
    missing = alert.span - len(shares)
    cut = sum(not share.whole for share in shares)
    warnings = [
        warning
        for window, each in zip(windows, explained, strict=True)
        for warning in doubts(window, *each)
    ]
    if missing:
        warnings.append(
            f"{missing} of the {alert.span} events of the span are no longer at hand with what the "
            "heads saw of them; their sum is what the statistic leaves for them"
        )
    if cut:
        warnings.append(
            f"of the context of {cut} of the {alert.span} events the oldest part is no longer at "
            "hand: they are told as the rest of it has them, and the difference is in what is left"
        )
    known = not missing and not cut
    earlier = 0.0 if known else alert.statistic - recomputed
    other = None
    if checks and worst:
        other = instead(windows[0], later, _event_limit(model, alert))
    if other:
        tokens = list(alert.tokens)
        tokens[worst[0].index] = model.vocabulary.names.index(other.event)
        changed = replace(alert, tokens=tuple(tokens))
        swapped = _added(model, changed, _logits(model, changed))
        sums = earlier
        for index in span:
            sums += float(swapped[index - 1])
            # Before the other event the sum is what it was, and that never came to zero.
            if alert.detector == "drift" and index >= worst[0].index:
                sums = max(0.0, sums)
        other = _judged(other, alert, sums)
    # A sum that cannot be recomputed is compared by its last event instead.
    last = float(surprisal(ran.logits[-1:], np.array(alert.tokens[-1:]))[0])
    return _explanation(
        alert,
        view="cusum" if alert.detector == "drift" else "mean",
        total=recomputed if known else alert.statistic,
        recomputed=recomputed if known else last,
        served=alert.statistic if known else alert.surprisal,
        attributions=tuple(attribution for attribution, _ in explained),
        span=tuple(shares),
        earlier=earlier,
        events=alert.span,
        at_hand=len(shares) - cut,
        instead=other,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _together(model: Readable, alert: Alert, later: Sequence[int], checks: bool) -> Explanation:
    """stream: √Σ s² = Σ s² / √Σ s² over the detectors, and its most surprising event at hand."""
    total = math.sqrt(sum(score**2 for score in alert.scores.values()))
    parts = [
        DetectorShare(name, score, score**2 / total)
        for name, score in sorted(alert.scores.items(), key=lambda item: -item[1])
    ]
    field = receptive_field(model.weights)
    surprisals = surprisal(_logits(model, alert), np.array(alert.tokens[1:]))
    at_hand = [i for i in range(1, len(alert.tokens)) if whole(alert, i, field)]
    index = max(at_hand, key=lambda i: float(surprisals[i - 1]), default=len(alert.tokens) - 1)
    window = _window(model, alert, index)
    attribution, paths = attribute(window, headline, checks=checks)
    other = instead(window, later, _event_limit(model, alert)) if checks else None
    return _explanation(
        alert,
        view="together",
        total=total,
        recomputed=total,
        served=alert.statistic,
        attributions=(attribution,),
        parts=tuple(parts),
        events=alert.span,
        at_hand=len(at_hand),
        instead=other and _judged(other, alert, math.nan),
        warnings=doubts(window, attribution, paths),
    )


def _counts(model: Readable, alert: Alert) -> Explanation:
    """1 − u·v, u the direction of the counts, v the nearest normal's; split over event names."""
    if not len(model.count_vectors) or not any(alert.counts.values()):
        missing = (
            "it has no counts" if len(model.count_vectors) else "the model has no count vectors"
        )
        raise InputError(
            f"alert {alert.id} of the counts detector cannot be explained: {missing}; explain it "
            "with the model that raised it"
        )
    counts = np.zeros(model.weights.d_vocab)
    counts[list(alert.counts)] = list(alert.counts.values())
    vectors = np.asarray(model.count_vectors, dtype=np.float64)
    total, listed = split_counts(counts, vectors, model.vocabulary.names)
    return _explanation(
        alert,
        view="counts",
        total=total,
        recomputed=total,
        served=alert.statistic,
        counts=listed,
    )


def _added(
    model: Readable, alert: Alert, logits: Float64[Array, "events d_vocab"]
) -> Float64[Array, " events"]:
    """What each event but the first adds to a drift or a level."""
    added = surprisal(logits, np.array(alert.tokens[1:]))
    if alert.detector == "drift":
        return np.asarray(added - entropy(logits) - model.calibration.kappa)
    return np.asarray((added - model.calibration.usual) / (alert.span + LEVEL_PRIOR))


def _event_limit(model: Readable, alert: Alert) -> float:
    """What the surprisal of one event must pass for an alert."""
    return float(model.calibration.of(alert.joined).limits()[_EVENT])


def _judged(other: Instead, alert: Alert, statistic: float) -> Instead:
    """With what the alert's own statistic would have come to; nan if that is not known."""
    raised = None if math.isnan(statistic) else statistic > alert.limit
    return replace(other, statistic=statistic, raised=raised)


def _logits(model: Readable, alert: Alert) -> Float64[Array, "predictions d_vocab"]:
    """The predictions of all the alert's events but the first."""
    return predict(model.weights.astype(np.float64), np.array(alert.tokens[:-1]))


def _window(model: Readable, alert: Alert, index: int, full: Activations | None = None) -> Window:
    """What the prediction of event `index` depends on, out of a run over all events before the
    observed one if there has been one.
    """
    weights = model.weights.astype(np.float64)
    tokens = np.array(alert.tokens[max(0, index - receptive_field(weights)) : index])
    return Window(
        weights,
        model.vocabulary,
        read_reference(model.reference, weights),
        alert,
        index,
        ending(weights, full, index) if full else run(weights, tokens, last_only=True),
    )


def _explanation(alert: Alert, **parts: Any) -> Explanation:
    return Explanation(
        alert=alert.id,
        model=alert.model,
        model_name=alert.model_name,
        stream=alert.stream,
        detector=alert.detector,
        time=alert.time,
        text=alert.text,
        statistic=alert.statistic,
        limit=alert.limit,
        score=alert.score,
        threshold=alert.threshold,
        **parts,
    )
