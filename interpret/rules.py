"""The rules that a model states: what it expects more often than not, and what makes it do so.

A rule says that v follows q: by itself (`bigram`), since k came before (`skip-trigram`), or since
it followed q before (`induction`). It is stated where the model gives v at least half of the
probability, mean over the held-out windows; where its paths at least double the odds of v, effect
≥ log 2; and where v came so at least 20 times. What a simpler rule says already is left out: k … q
→ v where q → v is stated, and k … q → k where induction is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from ..model.vocabulary import PAST, START
from .activations import run
from .card import Rule, Weight
from .circuits import direct_path, ov_circuits
from .directions import SURE
from .naming import Reading
from .paths import path_names, reading_vectors
from .roles import role_masks
from .skips import DOUBLED, expected, likely_trigrams

Array = np.ndarray

FEW = 20  # what came less often is little known
_CARRIES = 0.1  # share of a rule's effect from which on a head is named for it


def rules(reading: Reading, arrays: Mapping[str, NDArray[Any]]) -> tuple[Rule, ...]:
    """All rules that the model states, those first that work most: effect times support.

    `arrays` is what the model folder knows of the support of skip-trigrams.
    """
    bigrams = list(_bigrams(reading))
    inductions = list(_inductions(reading))
    said = {(rule.last, rule.following) for rule in bigrams}
    again = {rule.last for rule in inductions}
    skips = [
        rule
        for rule in _skip_trigrams(reading, arrays)
        if (rule.last, rule.following) not in said
        and not (rule.earlier == rule.following and rule.last in again)
    ]
    return tuple(
        sorted([*bigrams, *inductions, *skips], key=lambda rule: -rule.effect * rule.support)
    )


def carriers(names: Sequence[str], paths: Float64[Array, " paths"]) -> tuple[Weight, ...]:
    """The strongest head, and those that bring at least a tenth of Σ paths; or the direct path.

    A virtual head counts for both heads that it is made of: without either, nothing of it is left.
    """
    brought: dict[str, float] = defaultdict(float)
    for name, value in zip(names, paths.tolist(), strict=True):
        for head in name.split("→"):
            brought[head] += value
    least = min(_CARRIES * float(paths.sum()), max(brought.values()))
    named = [Weight(name, value) for name, value in brought.items() if value >= least]
    return tuple(sorted(named, key=lambda weight: -weight.value))


def _stated(effect: float, probability: float, support: int) -> bool:
    return effect >= DOUBLED and probability >= SURE and support >= FEW


def _bigrams(reading: Reading) -> Iterator[Rule]:
    """q → v. Effect: D̃[q, v] + Σ_k (μ_k[q] − μ̄_k) R̃_k[v].

    D̃ is the centred direct path, μ_k what a path brings on average after q, and R̃_k what turns
    that into logits, less their mean over v.
    """
    weights, reference, sample = reading.weights, reading.reference, reading.sample
    direct = direct_path(weights).centred(reference.last)
    read = reading_vectors(weights, weights.W_U.T)
    read = read - read.mean(axis=0)
    for q in np.setdiff1d(sample.last, (START, PAST)).tolist():
        predicted = sample.predicted[sample.last == q].mean(axis=0)
        v = int(predicted.argmax())
        usual = ((reference.means[q] - reference.mean) * read[v]).sum(axis=1)
        paths = np.array([direct.left[q] @ direct.right[:, v], *usual])
        support = reference.support(q, v)
        if _stated(float(paths.sum()), float(predicted[v]), support):
            yield Rule(
                kind="bigram",
                earlier=None,
                last=reading.names[q],
                following=reading.names[v],
                effect=float(paths.sum()),
                heads=carriers(("direct", *path_names(weights)), paths),
                expected=float(predicted[v]),
                support=support,
                chances=reference.last_count(q),
            )


def _inductions(reading: Reading) -> Iterator[Rule]:
    """After q what came right after it before. Effect: Σ_k Σ_s A_k[t, s] T̃_k[e_s, e_s], mean.

    k is a head of layer 1, which alone can find its place by what came before it there; s are the
    places right after an earlier q where the same came as at the last of them. Support is counted
    in the windows.
    """
    weights, sample = reading.weights, reading.sample
    if weights.n_layers < 2:
        return
    heads = slice(weights.n_heads, 2 * weights.n_heads)
    names = path_names(weights)[heads]
    copied = np.array(
        [
            (circuit.left * circuit.right.T).sum(axis=1)
            for circuit in (c.centred(reading.reference.last) for c in ov_circuits(weights)[heads])
        ]
    )
    effects: dict[int, list[Array]] = defaultdict(list)
    came: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for window, start in zip(sample.windows, sample.starts.tolist(), strict=True):
        tokens = window[:-1]
        after = role_masks(tokens)["induction"] > 0.0
        if not (rows := np.flatnonzero(after.any(axis=1))).size:
            continue
        pattern = run(weights, tokens).layers[1].pattern
        for t in rows.tolist():
            places = np.flatnonzero(after[t])
            q, v = int(tokens[t]), int(tokens[places[-1]])
            same = places[tokens[places] == v]
            effects[q].append(pattern[:, t, same].sum(axis=1) * copied[:, v])
            came[q].append((float(sample.predicted[start + t, v]), bool(window[t + 1] == v)))
    for q, each in came.items():
        paths = np.mean(effects[q], axis=0)
        probability, support = float(np.mean([p for p, _ in each])), sum(hit for _, hit in each)
        if _stated(float(paths.sum()), probability, support):
            yield Rule(
                kind="induction",
                earlier=None,
                last=reading.names[q],
                following=None,
                effect=float(paths.sum()),
                heads=carriers(names, paths),
                expected=probability,
                support=support,
                chances=len(each),
            )


def _skip_trigrams(reading: Reading, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Rule]:
    """k … q → v. Effect: Σ_k Ā_k[q, k] T̃_k[k, v], as that of skip-trigrams."""
    weights = reading.weights
    kept = {tuple(triple): at for at, triple in enumerate(arrays["skips"].tolist())}
    likely = likely_trigrams(weights, reading.reference, reading.sample)
    for (k, q, v), effect, paths in zip(
        likely.triples.tolist(), likely.effect.tolist(), likely.paths, strict=True
    ):
        if (k, q, v) not in kept:
            continue
        support, chances = arrays["skip_counts"][kept[k, q, v]].tolist()
        probability = expected(reading.sample, (k, q, v))
        if _stated(effect, probability, support):
            yield Rule(
                kind="skip-trigram",
                earlier=reading.names[k],
                last=reading.names[q],
                following=reading.names[v],
                effect=effect,
                heads=carriers(path_names(weights), paths),
                expected=probability,
                support=support,
                chances=chances,
            )
