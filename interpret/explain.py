"""An alert explained by the exact decomposition of the detector that raised it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from ..model.alert import Alert
from ..model.errors import InputError
from ..model.kernels import LEVEL_PRIOR, count_directions
from ..model.vocabulary import PAST, START, Vocabulary
from ..model.weights import Weights
from .activations import run
from .attribute import Window, attribute
from .directions import entropy, headline, own_expectation, surprisal
from .explanation import Attribution, CountShare, DetectorShare, Excess, Explanation
from .paths import Paths
from .reference import read_reference
from .verify import cancels

Array = np.ndarray

_WORST = 3  # drift and level: events of the span that are attributed
_FEW = 5  # a last event seen less often than this gives no reliable reference
_CANCELLING = 0.25  # share of all contributions from which a cancellation is worth a warning


@runtime_checkable
class _Calibration(Protocol):
    @property
    def kappa(self) -> float: ...
    @property
    def usual(self) -> float: ...


@runtime_checkable
class Readable(Protocol):
    """What an explanation needs of a model."""

    @property
    def weights(self) -> Weights: ...
    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def reference(self) -> Mapping[str, NDArray[np.generic]]: ...
    @property
    def calibration(self) -> _Calibration: ...
    @property
    def count_vectors(self) -> Float32[np.ndarray, "vectors d_vocab"]: ...


def explain(model: Readable, alert: Alert, *, checks: bool = True) -> Explanation:
    """Why `alert` was raised, from the weights alone, in float64.

    `checks` replaces each piece of evidence by typical events and scores again, which takes most
    of the time. InputError if the alert was raised by a model of another vocabulary.
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
        return _together(model, alert, checks)
    if alert.detector in ("drift", "level"):
        return _summed(model, alert, checks)
    return _surprising(model, alert, checks)


def _surprising(model: Readable, alert: Alert, checks: bool) -> Explanation:
    """event, end, new: the observed event against what was expected in its place."""
    observed = len(alert.tokens) - 1
    field = _receptive_field(model.weights)
    window = _window(model, alert, observed)
    warnings = []
    if not _whole(alert, observed, field):
        warnings.append(
            f"only {observed} of the {field} events that the score depends on are at hand"
        )
    attribution, paths = attribute(window, headline, checks=checks)
    return _explanation(
        alert,
        view=attribution.view,
        total=attribution.total,
        recomputed=attribution.surprise.surprisal,
        served=alert.surprisal,
        attributions=(attribution,),
        warnings=(*warnings, *_warnings(window, attribution, paths)),
    )


def _summed(model: Readable, alert: Alert, checks: bool) -> Explanation:
    """drift: C = Σ (S − H − κ) over the span; level: L = Σ (S − ū) / (n + 20) over the stream.

    Both with what is left for events no longer at hand, and the events that add most.
    """
    observed = len(alert.tokens) - 1
    field = _receptive_field(model.weights)
    logits = _logits(model, alert)
    added = surprisal(logits, np.array(alert.tokens[1:]))
    if alert.detector == "drift":
        added = added - entropy(logits) - model.calibration.kappa
    else:
        added = (added - model.calibration.usual) / (alert.span + LEVEL_PRIOR)
    span = [
        index
        for index in range(max(1, observed + 1 - alert.span), observed + 1)
        if _whole(alert, index, field)
    ]
    shares = [
        Excess(
            index=index,
            event=model.vocabulary.names[alert.tokens[index]],
            lag=observed - index,
            value=float(added[index - 1]),
        )
        for index in span
    ]
    shares.sort(key=lambda share: -share.value)
    worst = [share for share in shares[:_WORST] if share.value > 0.0]
    windows = [_window(model, alert, share.index) for share in worst]
    explained = [attribute(window, own_expectation, checks=checks) for window in windows]
    recomputed = sum(share.value for share in shares)
    missing = alert.span - len(shares)
    warnings = [
        warning
        for window, each in zip(windows, explained, strict=True)
        for warning in _warnings(window, *each)
    ]
    if missing:
        warnings.append(
            f"{missing} of the {alert.span} events of the span came before what is at hand; their "
            "sum is what the statistic leaves for them"
        )
    # A sum that cannot be recomputed is compared by its last event instead.
    last = float(surprisal(logits[-1:], np.array(alert.tokens[-1:]))[0])
    return _explanation(
        alert,
        view="cusum" if alert.detector == "drift" else "mean",
        total=alert.statistic if missing else recomputed,
        recomputed=last if missing else recomputed,
        served=alert.surprisal if missing else alert.statistic,
        attributions=tuple(attribution for attribution, _ in explained),
        span=tuple(shares),
        earlier=alert.statistic - recomputed if missing else 0.0,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _together(model: Readable, alert: Alert, checks: bool) -> Explanation:
    """stream: √Σ s² = Σ s² / √Σ s² over the detectors, and its most surprising event at hand."""
    total = math.sqrt(sum(score**2 for score in alert.scores.values()))
    parts = [
        DetectorShare(name, score, score**2 / total)
        for name, score in sorted(alert.scores.items(), key=lambda item: -item[1])
    ]
    field = _receptive_field(model.weights)
    surprisals = surprisal(_logits(model, alert), np.array(alert.tokens[1:]))
    at_hand = [i for i in range(1, len(alert.tokens)) if _whole(alert, i, field)]
    index = max(at_hand, key=lambda i: float(surprisals[i - 1]), default=len(alert.tokens) - 1)
    window = _window(model, alert, index)
    attribution, paths = attribute(window, headline, checks=checks)
    return _explanation(
        alert,
        view="together",
        total=total,
        recomputed=total,
        served=alert.statistic,
        attributions=(attribution,),
        parts=tuple(parts),
        warnings=tuple(_warnings(window, attribution, paths)),
    )


def _counts(model: Readable, alert: Alert) -> Explanation:
    """1 − u·v = Σ_i ½ (u_i − v_i)², u the direction of the counts, v the nearest normal's."""
    vectors = np.asarray(model.count_vectors, dtype=np.float64)
    if not len(vectors) or not any(alert.counts.values()):
        missing = "the model has no count vectors" if not len(vectors) else "it has no counts"
        raise InputError(
            f"alert {alert.id} of the counts detector cannot be explained: {missing}; explain it "
            "with the model that raised it"
        )
    counts = np.zeros(model.weights.d_vocab)
    counts[list(alert.counts)] = list(alert.counts.values())
    (u,) = count_directions(counts[None, :])
    directions = count_directions(vectors)
    nearest = int(np.argmax(directions @ u))
    v = directions[nearest]
    shares = (u - v) ** 2 / 2.0
    expected = _scaled(vectors[nearest], counts)
    listed = [
        CountShare(
            event=model.vocabulary.names[token],
            count=int(counts[token]),
            expected=float(expected[token]),
            value=float(shares[token]),
        )
        for token in np.argsort(-shares, kind="stable").tolist()
        if counts[token] or v[token]
    ]
    total = 1.0 - float(u @ v)
    return _explanation(
        alert,
        view="counts",
        total=total,
        recomputed=total,
        served=alert.statistic,
        counts=tuple(listed),
    )


def _scaled(
    normal: Float64[Array, " d_vocab"], counts: Float64[Array, " d_vocab"]
) -> Float64[Array, " d_vocab"]:
    """The normal stream's counts at this stream's size: the whole multiple that differs least."""
    present = normal > 0.0
    ratios = counts[present] / normal[present]
    sizes = np.maximum(1.0, np.concatenate([np.floor(ratios), np.ceil(ratios)]))
    # The sum of absolute differences is convex and bends only at the ratios.
    difference = np.abs(sizes[:, None] * normal - counts).sum(axis=1)
    return np.asarray(sizes[np.argmin(difference)] * normal)


def _logits(model: Readable, alert: Alert) -> Float64[Array, "predictions d_vocab"]:
    """The predictions of all the alert's events but the first."""
    return run(model.weights.astype(np.float64), np.array(alert.tokens[:-1])).logits


def _window(model: Readable, alert: Alert, index: int) -> Window:
    """What the prediction of event `index` depends on."""
    weights = model.weights.astype(np.float64)
    tokens = np.array(alert.tokens[max(0, index - _receptive_field(weights)) : index])
    return Window(
        weights,
        model.vocabulary,
        read_reference(model.reference, weights),
        alert,
        index,
        run(weights, tokens, last_only=True),
    )


def _receptive_field(weights: Weights) -> int:
    """Tokens that a prediction depends on."""
    return weights.n_layers * (weights.window - 1) + 1


def _whole(alert: Alert, index: int, field: int) -> bool:
    """Whether all that the prediction of event `index` depends on is among the alert's tokens."""
    return index >= field or alert.tokens[0] in (START, PAST)


def _warnings(window: Window, attribution: Attribution, paths: Paths) -> list[str]:
    """What to know before believing an attribution."""
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


def _explanation(alert: Alert, **parts: Any) -> Explanation:
    return Explanation(
        alert=alert.id,
        model=alert.model,
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
