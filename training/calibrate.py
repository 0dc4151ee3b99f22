"""Detectors' statistics of held-out normal streams → tails, threshold, alert budget.

The tail of each statistic is fitted on held-out streams, and the threshold on the combined score is
set by conformal prediction on the same ones, but a stream is never scored with tails that it was
part of: they are fitted anew without each tenth. Ranks and threshold from one set, without that,
give about six times the budget on HDFS.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from ..model.alert import DETECTORS, OVERALL
from ..model.calibration import (
    GRAIN,
    LEAST_SCALE,
    ONE_EVENT,
    SURPRISALS,
    Calibration,
    Tail,
    Threshold,
    conformal_threshold,
    fit_tail,
    tail_scores,
    together,
)
from ..model.folder import Model
from .budget import Budget
from .held_out import HeldOut, Statistics

_TENTHS = 10


def least_count_scale(model: Model) -> float:
    """A thirty-second of what an event of a new kind typically adds to the distance, 1 / (2 N).

    N kinds of events and the same with one more are about 1 − √(N / (N + 1)) apart. Where normal
    counts differ, they differ by less still: on HDFS by .0004 where anomalies do by .04.
    """
    if not len(model.count_vectors):
        return 1.0
    return float(1.0 / (64.0 * np.median((model.count_vectors > 0.0).sum(axis=1))))


def fit_tails(
    values: Float64[np.ndarray, "streams detectors"], *, count_scale: float
) -> dict[str, Tail]:
    """The tail of each detector that has a statistic of at least two streams.

    `event` and `end` have one: both are surprisals of one event, and one tail more would cost all
    others a part of the budget.
    """
    scales = {**LEAST_SCALE, "counts": count_scale}
    either = [DETECTORS.index(name) for name in SURPRISALS]
    surprisal = np.fmax.reduce(values[:, either], axis=1)
    fitted = {}
    for index, name in enumerate(DETECTORS):
        column = surprisal if index in either else values[:, index]
        known = column[~np.isnan(column)]
        if name in scales and len(known) >= 2:
            least = 0.0 if name in OVERALL else ONE_EVENT
            fitted[name] = fit_tail(known, least_scale=scales[name], least=least)
    return fitted


def fit_weights(
    scores: Float64[np.ndarray, "streams detectors"],
    bases: Float64[np.ndarray, "#streams detectors"],
) -> dict[str, float]:
    """w_i = 1 / Σ_j max(0, ρ_ij), with ρ the correlation of scores that count (0 for those below).

    Of n detectors that always say the same each counts 1/n, one that none repeats counts 1.
    """
    sure = tail_scores(scores, bases)
    apart = sure - sure.mean(axis=0)
    spread = np.sqrt((apart**2).sum(axis=0))
    apart = apart / np.where(spread > 0.0, spread, 1.0)
    rho = apart.T @ apart
    np.fill_diagonal(rho, 1.0)
    weights = dict(zip(DETECTORS, (1.0 / np.maximum(0.0, rho).sum(axis=1)).tolist(), strict=True))
    event, end = SURPRISALS
    return {**weights, end: weights[event]}


def fit_detectors(
    values: Float64[np.ndarray, "streams detectors"], *, count_scale: float
) -> Threshold:
    """Tails and weights of all detectors; the threshold is still to be set."""
    tails = fit_tails(values, count_scale=count_scale)
    alike = Threshold(tails, dict.fromkeys(tails, 1.0), math.inf, len(values))
    weights = fit_weights(alike.score(values), alike.bases())
    return replace(alike, weights={name: weights[name] for name in tails})


def held_out_scores(
    values: Float64[np.ndarray, "streams detectors"], *, count_scale: float, in_turn: bool
) -> tuple[Float64[np.ndarray, "streams detectors"], Float64[np.ndarray, "streams detectors"]]:
    """Each statistic as a score in nats, by what was fitted without the tenth that a stream is in.

    Streams go into tenths in turn, or a tenth is what comes one after another. With the scores come
    those past which they count, see `model.calibration.together`.
    """
    scores, bases = np.empty_like(values), np.empty_like(values)
    every, tenths = np.arange(len(values)), min(_TENTHS, len(values))
    for tenth in range(tenths):
        held = (every % tenths if in_turn else every * tenths // len(values)) == tenth
        fitted = fit_detectors(values[~held], count_scale=count_scale)
        scores[held], bases[held] = fitted.score(values[held]), fitted.bases()
    return scores, bases


def fit_threshold(statistics: Statistics, rate: float, *, count_scale: float) -> Threshold:
    """Tails and weights from all streams, and the threshold on scores by those that each had no
    part in.

    By a decoder that has learned them no more may pass it either: streams that are all alike would
    all pass if the one that serves happens to be a little less sure of them than those of folds.
    """
    values = statistics.values
    # A nightly job, all in one tenth, would set a threshold that nothing reaches.
    scores = together(*held_out_scores(values, count_scale=count_scale, in_turn=True))
    fitted = fit_detectors(values, count_scale=count_scale)
    # Streams that were set apart may be what the smallest budget was short of.
    rate = max(rate, 1.0 / (len(scores) + 1))
    threshold = conformal_threshold(scores, rate)
    if statistics.learned is not None:
        learned = combined(fitted, statistics.learned)
        threshold = max(threshold, conformal_threshold(learned, rate))
    return replace(fitted, threshold=threshold + GRAIN)


def combined(
    threshold: Threshold, values: Float64[np.ndarray, "streams detectors"]
) -> Float64[np.ndarray, " streams"]:
    """The score of each stream, in nats."""
    return together(threshold.score(values), threshold.bases())


def calibrate(model: Model, held: HeldOut, *, budget: Budget, rate: float) -> Calibration:
    """Thresholds for streams seen from their beginning and for joined ones."""
    scale = least_count_scale(model)
    return Calibration(
        kappa=held.kappa,
        usual=held.usual,
        budget=str(budget),
        rate=rate,
        whole=fit_threshold(held.whole, rate, count_scale=scale),
        joined=fit_threshold(held.joined, rate, count_scale=scale),
    )
