"""Measures of detection: how scores agree with labels, and false alerts with the budget's law.

Scores of streams may be −∞ (nothing was there to judge); equal scores stand or fall together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray
from scipy.stats import betabinom, chi2

from ..model.calibration import conformal_threshold

BUDGETS = (0.001, 0.005, 0.01)  # false alerts per normal stream
RESPLITS = 200


@dataclass(frozen=True)
class Curve:
    """True and false alerts at every threshold, from none to all, and how many could be."""

    true: Int64[np.ndarray, " thresholds"]
    false: Int64[np.ndarray, " thresholds"]
    anomalous: int
    normal: int


def curve(
    scores: Float64[np.ndarray, " streams"], anomalous: Bool[np.ndarray, " streams"]
) -> Curve:
    """What each threshold would catch and what it would cost, the highest first."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of a run of equal scores
    true = np.append(0, np.cumsum(anomalous[order])[last])
    false = np.append(0, np.cumsum(~anomalous[order])[last])
    return Curve(true, false, int(true[-1]), int(false[-1]))


def auroc(c: Curve) -> float:
    """P(score of an anomalous one > score of a normal one) + ½ P(equal)."""
    heights = (c.true[1:] + c.true[:-1]) / 2
    return float(np.diff(c.false) @ heights / (c.anomalous * c.normal))


def average_precision(c: Curve) -> float:
    """Σ (R_i − R_{i−1}) P_i over the thresholds, with recall R and precision P."""
    true, false = c.true[1:], c.false[1:]
    return float(np.diff(c.true) @ (true / (true + false)) / c.anomalous)


def tpr_at_fpr(c: Curve, fpr: float) -> float:
    """The largest share of anomalous ones caught by a threshold that alerts on ≤ `fpr` normals."""
    return float(c.true[c.false <= fpr * c.normal].max() / c.anomalous)


def f1(
    true: NDArray[np.integer] | int,
    false: NDArray[np.integer] | int,
    *,
    anomalous: int,
    weight: float,
) -> NDArray[np.float64]:
    """2 TP / (TP + P + w FP): each false alert stands for w of them at published prevalence."""
    return np.asarray(2 * true / (true + anomalous + weight * np.asarray(false)))


def ranking(
    scores: Float64[np.ndarray, " streams"],
    anomalous: Bool[np.ndarray, " streams"],
    *,
    weight: float = 1.0,
) -> dict[str, float]:
    """Measures of the scores alone. `f1_oracle` takes the best threshold on the labels."""
    c = curve(scores, anomalous)
    oracle = f1(c.true, c.false, anomalous=c.anomalous, weight=weight)
    return {
        "auroc": auroc(c),
        "average_precision": average_precision(c),
        **{f"tpr_at_fpr_{fpr:g}": tpr_at_fpr(c, fpr) for fpr in BUDGETS},
        "f1_oracle": float(oracle.max()),
    }


def alerting(
    alerts: Bool[np.ndarray, " streams"],
    anomalous: Bool[np.ndarray, " streams"],
    *,
    rate: float,
    weight: float = 1.0,
) -> dict[str, float]:
    """Measures of the alerts at a threshold that was set for `rate` false ones a normal stream."""
    caught, false = int((alerts & anomalous).sum()), int((alerts & ~anomalous).sum())
    total = int(anomalous.sum())
    return {
        "f1_calibrated": float(f1(caught, false, anomalous=total, weight=weight)),
        "caught": caught / total,
        "false_alert_ratio": false / (rate * int((~anomalous).sum())),
    }


def charged(
    scores: Float64[np.ndarray, " events_and_end"], events: int
) -> Float64[np.ndarray, " events"]:
    """s_i + s_{i+1} + ½ s_{i+2} for each event; the end, where it was seen, is one more in s.

    What is missing shows one event later: only after it is it known what did not come. And where an
    event is out of place, what follows it is as well, less surely the further it is.
    """
    after = np.append(scores, [0.0, 0.0])
    return np.asarray((after[:-2] + after[1:-1] + 0.5 * after[2:])[:events])


def event_auroc(
    scores: Sequence[NDArray[np.float64]], labels: Sequence[NDArray[np.bool_]]
) -> float:
    """AUROC over all events of all streams."""
    return auroc(curve(np.concatenate(scores), np.concatenate(labels)))


def delays(
    alerts: Sequence[NDArray[np.integer]], first_wrong: Int64[np.ndarray, " streams"]
) -> Int64[np.ndarray, " caught"]:
    """Events from a stream's first wrong one to its next alert, of the streams that have both.

    `alerts`: places of the events that raised one, counted from 0, the end being one more;
    `first_wrong`: −1 where nothing is wrong.
    """
    found = []
    for places, wrong in zip(alerts, first_wrong.tolist(), strict=True):
        later = places[places >= wrong]
        if wrong >= 0 and len(later):
            found.append(int(later.min()) - wrong)
    return np.array(found, dtype=np.int64)


def supported_rate(streams: int) -> float:
    """1 in 1,000, else the smallest rate that a threshold from so many streams can keep."""
    return max(BUDGETS[0], 1 / (streams + 1))


def supported_budgets(streams: int) -> list[float]:
    """Those of `BUDGETS` that a threshold from so many streams can keep."""
    return [rate for rate in BUDGETS if rate * (streams + 1) >= 1.0 - 1e-9]


def resplit_false_alerts(
    scores: Float64[np.ndarray, " normals"], calibrating: int, rate: float, *, seed: int
) -> Int64[np.ndarray, " resplits"]:
    """False alerts on the rest when `calibrating` of the normals, drawn anew, set the threshold."""
    rng = np.random.default_rng(seed)
    counts = []
    for _ in range(RESPLITS):
        drawn = rng.permutation(scores)
        threshold = conformal_threshold(drawn[:calibrating], rate)
        counts.append(np.count_nonzero(drawn[calibrating:] > threshold))
    return np.array(counts, dtype=np.int64)


@dataclass(frozen=True)
class FalseAlertLaw:
    """How many of m normal streams pass a threshold that n others set, if all are exchangeable.

    The threshold is the k-th largest of n scores, k = ⌊rate (n + 1)⌋. The share of normal streams
    beyond it follows Beta(k, n + 1 − k), so their number among m is beta-binomial, with mean
    m k / (n + 1). Equal scores make alerts rarer than that, never more frequent.
    """

    n: int
    m: int
    rate: float

    @property
    def k(self) -> int:
        return math.floor(self.rate * (self.n + 1) + 1e-9)

    def p_value(self, count: int) -> float:
        """Twice the smaller of P(X ≤ count) and P(X ≥ count)."""
        below = betabinom.cdf(count, self.m, self.k, self.n + 1 - self.k)
        above = betabinom.sf(count - 1, self.m, self.k, self.n + 1 - self.k)
        return float(min(1.0, 2.0 * min(below, above)))

    def fit_p_value(self, counts: Int64[np.ndarray, " resplits"]) -> float:
        """Pearson's test of many counts against the law, in about five classes of equal weight."""
        shape = (self.m, self.k, self.n + 1 - self.k)
        edges = np.unique(betabinom.ppf([0.2, 0.4, 0.6, 0.8], *shape))
        weights = np.diff(np.concatenate([[0.0], betabinom.cdf(edges, *shape), [1.0]]))
        classes = np.searchsorted(edges, counts, side="left")
        observed = np.bincount(classes, minlength=len(weights))
        expected = weights * len(counts)
        full = expected > 0
        statistic = np.sum((observed[full] - expected[full]) ** 2 / expected[full])
        return float(chi2.sf(statistic, full.sum() - 1)) if full.sum() > 1 else 1.0


def budgets_kept(
    calibration: Float64[np.ndarray, " calibration"],
    normals: Float64[np.ndarray, " normals"],
    *,
    moments: Float64[np.ndarray, " all_normals"] | None,
    seed: int,
) -> dict[str, float]:
    """False alerts divided by each supported budget, and the p-value of their count's law.

    The mean over resplits of all normals together; that p-value tests the procedure, ties
    included. `moments` are the times at which calibration and then test streams ended: where there
    are some, the oldest calibrate once and the rest test, which tests whether habits last.
    """
    scores = np.concatenate([calibration, normals])
    n, m = len(calibration), len(normals)
    found = {}
    for rate in supported_budgets(n):
        law = FalseAlertLaw(n, m, rate)
        counts = resplit_false_alerts(scores, n, rate, seed=seed)
        found[f"false_alert_ratio_{rate:g}"] = float(counts.mean() / (rate * m))
        found[f"false_alert_p_{rate:g}"] = law.fit_p_value(counts)
        if moments is not None:
            ordered = scores[np.argsort(moments, kind="stable")]
            threshold = conformal_threshold(ordered[:n], rate)
            count = int(np.count_nonzero(ordered[n:] > threshold))
            found[f"false_alert_ratio_{rate:g}_chronological"] = count / (rate * m)
            found[f"false_alert_p_{rate:g}_chronological"] = law.p_value(count)
    return found
