"""How far an attribution can be believed, measured on events whose cause is known.

Candidates are the events before the last one, and the last one too where it is the cause.
`hit_at_k`: the cause is among the k that speak most for what was expected. `replacement_pearson`:
correlation, over all candidates of a network's cases, with the fall of the log-odds when each is
replaced by typical events. `drop_at_3`: how far the log-odds fall, in nats, when the first three
are replaced at once. `randomised_spearman`: rank correlation with what the method says of the same
window in a network of random weights, the absolute value of the mean over cases; what tells of
the network has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64
from scipy.stats import pearsonr, spearmanr

from ..interpret.reference import fit_reference, read_reference
from ..model.decoder import decoder_from
from ..model.vocabulary import END
from ..model.weights import random_weights
from .attributions.question import Explained, Method, Question
from .attributions.replacement import effects, replaced

_DRAWS = 8
_NAMED = 3


@dataclass(frozen=True)
class Case:
    """An event that breaks a rule; `cause` is the index of the one that makes it wrong."""

    question: Question
    cause: int
    groups: tuple[str, ...] = ()  # that it counts for besides the whole

    @property
    def candidates(self) -> int:
        last = len(self.question.tokens) - 1
        return last + (self.cause == last)


@dataclass
class Found:
    """What one method made of the cases of one network."""

    hit_at_1: list[bool] = field(default_factory=list)
    hit_at_3: list[bool] = field(default_factory=list)
    drop_at_3: list[float] = field(default_factory=list)
    randomised: list[float] = field(default_factory=list)
    values: list[Float64[np.ndarray, "_"]] = field(default_factory=list)

    def measures(self, effect: Sequence[Float64[np.ndarray, "_"]]) -> dict[str, float]:
        return {
            "hit_at_1": float(np.mean(self.hit_at_1)),
            "hit_at_3": float(np.mean(self.hit_at_3)),
            "replacement_pearson": float(
                pearsonr(np.concatenate(self.values), np.concatenate(effect))[0]
            ),
            "drop_at_3": float(np.mean(self.drop_at_3)),
            "randomised_spearman": abs(float(np.mean(self.randomised))),
        }


@dataclass(frozen=True)
class Judged:
    """All methods on the cases of one network."""

    cases: Sequence[Case]
    effect: list[Float64[np.ndarray, "_"]]
    by_method: dict[str, Found]

    def measures(self) -> dict[str, dict[str, float]]:
        return {name: found.measures(self.effect) for name, found in self.by_method.items()}


def judge(cases: Sequence[Case], methods: Mapping[str, Method], *, seed: int) -> Judged:
    """Ask every method about every case."""
    rng = np.random.default_rng(seed)
    random = _randomised(cases[0].question.model, [case.question for case in cases], seed=seed)
    effect = []
    by_method = {name: Found() for name in methods}
    for case in cases:
        end = case.candidates
        effect.append(effects(case.question, rng, draws=_DRAWS)[:end])
        other = replace(case.question, model=random)
        for name, method in methods.items():
            value, found = method(case.question)[:end], by_method[name]
            order = named(value)
            found.values.append(value)
            found.hit_at_1.append(case.cause == order[0])
            found.hit_at_3.append(case.cause in order)
            # The same events, whoever names their places.
            drawing = np.random.default_rng([seed, *case.question.tokens, case.question.observed])
            windows = replaced(case.question, order, drawing, draws=_DRAWS)
            after = case.question.log_odds_of(windows)
            found.drop_at_3.append(case.question.direction.total - float(after.mean()))
            found.randomised.append(float(spearmanr(value, method(other)[:end]).statistic))
    return Judged(cases, effect, by_method)


def named(values: Float64[np.ndarray, " sources"]) -> list[int]:
    """The events that speak most for what was expected, strongest first."""
    order: list[int] = np.argsort(-values, kind="stable")[:_NAMED].tolist()
    return order


def _randomised(model: Explained, questions: Iterable[Question], *, seed: int) -> Explained:
    """The same sizes, random weights, and the reference of those."""
    drawn = random_weights(model.config, seed=seed)
    weights = drawn.astype(np.float64)
    streams = [np.append(question.tokens, END) for question in questions]
    reference = read_reference(fit_reference(weights, streams), weights)
    decoder = decoder_from(drawn, model.config).requires_grad_(False)
    return Explained(weights, decoder, reference)
