"""From detectors' statistics to one score under one alert budget.

Each statistic x becomes −log P(X ≥ x), its tail probability on held-out normal streams, of the
largest tenth by a Pareto tail. The threshold on the score that these come to is set by conformal
prediction (Vovk, Gammerman and Shafer, 2005; for anomaly detection Laxhammar and Falkman, 2010).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from .alert import DETECTORS, OVERALL

# Smallest scale of the extrapolated tail, in the detector's own units: where normal streams show
# (nearly) no spread, a tail as thin as the data would make any deviation infinitely surprising. For
# `counts` the caller says what one event more or less amounts to.
LEAST_SCALE = {"event": 0.5, "drift": 1.0, "end": 0.5, "new": 1.0, "level": 0.05}
# Of a least scale, in statistics, and of a nat, in scores: what differs by less is equal. Where
# normal streams are all alike the tail begins at what all of them have, and a processor that rounds
# otherwise, by 1e-7, would find each of them past it.
GRAIN = 0.01
SURPRISALS = ("event", "end")  # detectors whose statistic is the surprisal of one event
# −log P past which what one event says of its stream counts: one normal stream in fifty. In a long
# stream something always surprises, and what is less rare is noise beside what judges all events.
ONE_EVENT = math.log(50.0)
_TAIL_SHARE = 0.1  # of the streams, the largest: what the tail is fitted to
_FEWEST_EXCESSES = 10
_LEVELS = 128  # values that the empirical part is kept at
_HEAVIEST = 0.9  # largest shape; from 1 on the mean does not exist
_DOUBT = 50  # excesses at which half of a shape is believed


@dataclass(frozen=True)
class Tail:
    """−log P(X ≥ x) of one statistic: empirical up to `start`, a Pareto tail beyond.

    `values` and `scores` are the empirical part. `base` is −log P(X > start); the excess over
    `start` follows a generalised Pareto law with `scale` and `shape` ≥ 0. The law holds where data
    are still at hand too: one odd stream among the normal ones must not be the measure of what is
    odd, as it would be if scores were empirical up to the largest value. A score counts in that of
    a stream, see `Threshold`, past `base`, and past `least` where that is more.
    """

    values: tuple[float, ...]
    scores: tuple[float, ...]
    start: float
    base: float
    scale: float
    shape: float
    least: float = 0.0  # models of earlier versions have none

    def __post_init__(self) -> None:
        if not (self.scale > 0.0 and 0.0 <= self.shape < 1.0):
            raise ValueError(
                f"a tail has a scale above 0 and a shape from 0 to below 1, got {self.scale} and "
                f"{self.shape}"
            )

    @property
    def counted(self) -> float:
        """The score past which one counts."""
        return max(self.base, self.least)

    def score(self, x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Nats, increasing in x; nan stays nan."""
        x = np.asarray(x, dtype=np.float64)
        y = np.maximum(0.0, (x - self.start) / self.scale)
        tail = y if self.shape == 0.0 else np.log1p(self.shape * y) / self.shape
        inside = np.where(np.isnan(x), np.nan, np.interp(x, self.values, self.scores))
        return np.where(x > self.start, self.base + tail, inside)

    def score_at(self, x: float) -> float:
        """`score` of one number; in the tail, where alerts are, without the cost of arrays."""
        if not x > self.start:
            return float(self.score(x))
        y = (x - self.start) / self.scale
        return self.base + (y if self.shape == 0.0 else math.log1p(self.shape * y) / self.shape)

    def limit(self, score: float) -> float:
        """The largest x whose score does not pass `score`."""
        if score >= self.base:
            level = score - self.base
            grown = level if self.shape == 0.0 else np.expm1(self.shape * level) / self.shape
            return float(self.start + self.scale * grown)
        if score >= self.scores[-1]:
            return self.start
        above = int(np.searchsorted(self.scores, score, side="right"))
        if above == 0:
            return -math.inf
        x0, x1 = self.values[above - 1], self.values[above]
        y0, y1 = self.scores[above - 1], self.scores[above]
        return x0 + (x1 - x0) * (score - y0) / (y1 - y0)


def fit_tail(
    statistic: Float64[np.ndarray, " streams"], *, least_scale: float, least: float = 0.0
) -> Tail:
    """Empirical −log((1 + #{X ≥ x}) / (n + 1)), and a Pareto tail fitted to the largest tenth.

    The tail begins `GRAIN` of the least scale above the smallest of these.

    With a₀ = mean(y) and a₁ = mean(y·(1 − rank)) of the excesses y, the probability-weighted
    moments of Hosking and Wallis (1987) give the shape ξ = 2 − a₀ / (a₀ − 2 a₁) and the scale
    a₀ (1 − ξ). Shapes below 0 (a tail with an end) are not believed, and those of n excesses by
    n / (n + 50): from twenty, one odd stream makes a tail so heavy that nothing is rare any more.
    """
    x = np.sort(np.asarray(statistic, dtype=np.float64))
    n = len(x)
    tenth = float(x[-max(1, int(_TAIL_SHARE * n))])
    start = tenth + GRAIN * least_scale
    levels = np.unique(x[x <= tenth])
    if len(levels) > _LEVELS:
        levels = levels[np.linspace(0, len(levels) - 1, _LEVELS).astype(int)]
    at_least = n - np.searchsorted(x, levels, side="left")
    scores = -np.log((1 + at_least) / (n + 1))
    excess = x[x > start] - start
    base = -math.log((1 + len(excess)) / (n + 1))
    scale, shape = least_scale, 0.0
    if len(excess) >= _FEWEST_EXCESSES:
        ranks = (np.arange(len(excess)) + 0.65) / len(excess)
        a0, a1 = float(excess.mean()), float((excess * (1.0 - ranks)).mean())
        believed = len(excess) / (len(excess) + _DOUBT)
        shape = believed * float(np.clip(2.0 - a0 / (a0 - 2.0 * a1), 0.0, _HEAVIEST))
        scale = max(a0 * (1.0 - shape), least_scale)  # the mean of the law is scale / (1 − ξ)
    return Tail(tuple(levels.tolist()), tuple(scores.tolist()), start, base, scale, shape, least)


@dataclass(frozen=True)
class Threshold:
    """Tails of each detector and the threshold on what they come to, for one kind of stream.

    A detector's score is √w times −log P(X ≥ x), with w in (0, 1] smaller the more it repeats what
    others say. A stream's score is √Σ s² over its detectors' scores s that count: in their tails,
    and where one event is judged (`event`, `end`, `new`) past `ONE_EVENT`. If none does it is the
    largest s of those that judge all events. One detector that is sure is enough, and several that
    are nearly sure are too.
    """

    tails: dict[str, Tail]
    weights: dict[str, float]  # of each detector that has a tail
    threshold: float  # on a stream's score, nats
    streams: int  # held-out streams that the threshold was calibrated on

    def score(
        self, statistics: Float64[np.ndarray, "streams detectors"]
    ) -> Float64[np.ndarray, "streams detectors"]:
        """Each statistic as a score in nats; −∞ for detectors that are not fitted."""
        scores = np.full(statistics.shape, -np.inf)
        for index, name in enumerate(DETECTORS):
            if name in self.tails:
                root = math.sqrt(self.weights[name])
                scores[:, index] = root * self.tails[name].score(statistics[:, index])
        return scores

    def score_of(self, name: str, x: float) -> float:
        """A statistic of the detector `name` as a score in nats."""
        return math.sqrt(self.weights[name]) * self.tails[name].score_at(x)

    def limits(self) -> Float64[np.ndarray, " detectors"]:
        """What each statistic must pass for an alert; ∞ for detectors that are not fitted."""
        limits = {}
        for name, tail in self.tails.items():
            score = self.threshold / math.sqrt(self.weights[name])
            limits[name] = tail.limit(max(score, tail.least))  # below, it had no part in that
        if limits:
            limits["stream"] = self.threshold
        return np.array([limits.get(name, np.inf) for name in DETECTORS])

    def bases(self) -> Float64[np.ndarray, "1 detectors"]:
        """Score past which each detector counts."""
        bases = [
            math.sqrt(self.weights[name]) * self.tails[name].counted if name in self.tails else 0.0
            for name in DETECTORS
        ]
        return np.array([bases])

    def laws(self) -> Float64[np.ndarray, "detectors 6"]:
        """Of each tail the statistic past which it counts, start, base, scale, shape and √w.

        The first is ∞ where none is fitted.
        """
        rows = []
        for name in DETECTORS:
            if name in self.tails:
                t, root = self.tails[name], math.sqrt(self.weights[name])
                rows.append((t.limit(t.counted), t.start, t.base, t.scale, t.shape, root))
            else:
                rows.append((math.inf, math.inf, 0.0, 1.0, 0.0, 1.0))
        return np.array(rows)

    def counted(self, statistics: Mapping[str, float]) -> dict[str, float]:
        """Scores in nats of those statistics that count, as `together` takes them."""
        scores = {
            name: self.score_of(name, x)
            for name, x in statistics.items()
            if name in self.tails and x > self.tails[name].limit(self.tails[name].counted)
        }
        if set(SURPRISALS) <= scores.keys():
            del scores[min(SURPRISALS, key=lambda name: scores[name])]
        return scores


def together(
    scores: Float64[np.ndarray, "streams detectors"],
    bases: Float64[np.ndarray, "#streams detectors"],
) -> Float64[np.ndarray, " streams"]:
    """√Σ s² over the scores s above their bases; −∞ for no score.

    If none is, the largest of those detectors that judge all events. Of `event` and `end`, both
    surprisals of one event, the larger counts.
    """
    joint = np.sqrt((tail_scores(scores, bases) ** 2).sum(axis=1))
    overall = scores[:, [DETECTORS.index(name) for name in OVERALL]]
    largest = np.where(np.isnan(overall), -np.inf, overall).max(axis=1)
    return np.asarray(np.where(joint > 0.0, joint, largest))


def tail_scores(
    scores: Float64[np.ndarray, "streams detectors"],
    bases: Float64[np.ndarray, "#streams detectors"],
) -> Float64[np.ndarray, "streams detectors"]:
    """The scores that count, 0 for the others and the unknown.

    The larger of `event` and `end` stands under the first, and 0 under the second.
    """
    sure = np.where(scores > bases, scores, 0.0)  # false for nan
    event, end = (DETECTORS.index(name) for name in SURPRISALS)
    sure[:, event] = np.maximum(sure[:, event], sure[:, end])
    sure[:, end] = 0.0
    return np.asarray(sure)


@dataclass(frozen=True)
class Calibration:
    """What turns statistics into alerts, for streams seen from their beginning and joined ones."""

    kappa: float  # drift: excess in nats that an event must pass to add to the sum
    usual: float  # level: nats that an event of a normal stream surprises by on average
    budget: str  # as the user said it, or what the data supports
    rate: float  # false alerts per stream (endless: per block) that the threshold allows
    whole: Threshold
    joined: Threshold

    def of(self, joined: bool) -> Threshold:
        return self.joined if joined else self.whole

    def to_json(self) -> dict[str, Any]:
        def threshold(value: Threshold) -> dict[str, Any]:
            tails = {
                name: {**asdict(t), "values": list(t.values), "scores": list(t.scores)}
                for name, t in value.tails.items()
            }
            return {
                "threshold": value.threshold,
                "streams": value.streams,
                "weights": value.weights,
                "tails": tails,
            }

        return {
            "kappa": self.kappa,
            "usual": self.usual,
            "budget": self.budget,
            "rate": self.rate,
            "whole": threshold(self.whole),
            "joined": threshold(self.joined),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Calibration:
        def threshold(part: dict[str, Any]) -> Threshold:
            tails = {
                name: Tail(**{**t, "values": tuple(t["values"]), "scores": tuple(t["scores"])})
                for name, t in part["tails"].items()
            }
            weights = {name: float(weight) for name, weight in part["weights"].items()}
            return Threshold(tails, weights, float(part["threshold"]), int(part["streams"]))

        return cls(
            float(value["kappa"]),
            float(value["usual"]),
            str(value["budget"]),
            float(value["rate"]),
            threshold(value["whole"]),
            threshold(value["joined"]),
        )


def conformal_threshold(scores: Float64[np.ndarray, " streams"], rate: float) -> float:
    """The ⌊rate·(n + 1)⌋-th largest score: an exchangeable normal stream passes it with P ≤ rate.

    Raises ValueError when rate·(n + 1) < 1, for which no finite threshold has the guarantee.
    """
    rank = math.floor(rate * (len(scores) + 1) + 1e-9)
    if rank < 1:
        raise ValueError(f"{len(scores)} streams cannot support a rate of {rate}")
    return float(np.sort(scores)[-rank]) if rank <= len(scores) else -math.inf
