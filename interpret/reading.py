"""A model read as a whole: its card made from weights, reference and held-out windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import NDArray

from ..model.vocabulary import NEW, SPECIAL
from .card import (
    Card,
    Cardable,
    Composed,
    Edited,
    Follows,
    Group,
    Head,
    Noticed,
    PathWork,
    Rule,
    Skip,
)
from .circuits import compositions, direct_path, matching_circuits, ov_circuits, positivity
from .factor import explained, one_sided_nmf
from .heads import read_heads
from .naming import Reading, among, cells, directions, loadings, shortened
from .paths import path_names
from .reference import read_reference
from .rules import FEW, rules
from .sample import observe, read_windows
from .skips import KEPT, expected, skip_trigrams
from .stages import read_history
from .words import percent
from .work import bigrams, missed, share_of_work

Array = np.ndarray

_SHOWN = 30  # events of a table
_GROUPS = 6
_FACTORED = 250  # most frequent events on each side of what is factored
_MEMBERS = 6  # events that name a group
_SKIPS = 16
_COMPOSED = 4  # of each kind
_LASTS, _NEXTS = 8, 3  # bigrams: last events, and what follows each


def read_model(model: Cardable) -> Card:
    """The card of a model; ModelError if its folder lacks what a card needs."""
    weights = model.weights.astype(np.float64)
    reading = Reading(
        names=model.vocabulary.names,
        weights=weights,
        reference=read_reference(model.reference, weights),
        sample=observe(weights, read_windows(model.reference)),
    )
    last = reading.reference.last
    groups, groups_explain, group_of = _groups(reading)
    frequent = np.argsort(-reading.as_last(), kind="stable")[:_SHOWN]
    shown = frequent[np.argsort(group_of[frequent], kind="stable")]
    direct = direct_path(weights).centred(last)
    by_direct, by_usual, counted = bigrams(weights, reading.reference)
    skips, phantoms = _skips(reading, model.reference)
    stated = rules(reading, model.reference)
    summary = model.summary
    return Card(
        model=model.sha256,
        n_layers=weights.n_layers,
        n_heads=weights.n_heads,
        window=weights.window,
        events=weights.d_vocab - len(SPECIAL),
        trained_streams=summary["streams"],
        trained_events=summary["events"],
        loss=summary["losses"]["decoder"],
        loss_bigram=summary["losses"]["control"],
        loss_one_layer=summary["losses"].get("one_layer"),
        loss_ngram=summary["losses"]["ngram"],
        ngram_order=summary["ngram_order"],
        sample_windows=len(reading.sample.windows),
        sample_events=len(reading.sample.last),
        short=shortened(reading.names),
        shown=tuple(reading.names[event] for event in shown.tolist()),
        shown_groups=tuple(group_of[shown].tolist()),
        groups=groups,
        groups_explain=groups_explain,
        direct=among(direct, shown),
        counted=cells(counted[np.ix_(shown, shown)]),
        direct_directions=directions(reading.names, direct, reading.as_last(), reading.as_next()),
        direct_misses=missed(counted, by_direct, last),
        usual_misses=missed(counted, by_usual, last),
        follows=_follows(reading, by_direct, by_usual, counted),
        work=tuple(
            PathWork(work.name, work.loss, work.effect)
            for work in share_of_work(weights, reading.reference, reading.sample)
        ),
        heads=_with_roles(read_heads(reading, shown), stated),
        rules=stated,
        skips=skips,
        phantoms=phantoms,
        compositions=_compositions(reading),
        history=read_history(model.history),
        noticed=tuple(Noticed(**each) for each in summary.get("sensitivity", ())),
        limits=_limits(reading, summary, phantoms),
        edits=tuple(Edited(**each) for each in summary.get("edits", ())),
    )


def _groups(reading: Reading) -> tuple[tuple[Group, ...], float, Int[Array, " d_vocab"]]:
    """Outcomes that rise and fall together in the direct path and all heads, by one-sided NMF.

    Each event's group besides; events that are in none are in one past the last.
    """
    last, following = reading.as_last(), reading.as_next()
    rows, columns = (np.argsort(-side, kind="stable")[:_FACTORED] for side in (last, following))
    heads = reading.weights.n_layers * reading.weights.n_heads
    circuits = [direct_path(reading.weights), *ov_circuits(reading.weights)[:heads]]
    tables = []
    for circuit in circuits:
        centred = circuit.centred(reading.reference.last)
        table = centred.left[rows] @ centred.right[:, columns]
        tables.append(np.sqrt(last[rows])[:, None] * table * np.sqrt(following[columns]))
    table = np.concatenate(tables)
    contexts, groups = one_sided_nmf(table, min(_GROUPS, len(columns)))
    size = np.linalg.norm(contexts, axis=0)
    group_of = np.full(len(last), len(groups))
    strength = size[:, None] * groups
    inside = strength.max(axis=0) > 0.0
    group_of[columns[inside]] = strength.argmax(axis=0)[inside]
    named = []
    for group in range(len(groups)):
        whole = np.zeros(len(last))
        whole[columns] = np.where(group_of[columns] == group, groups[group], 0.0)
        share = float(size[group] ** 2 / max(float((size**2).sum()), 1e-300))
        named.append(Group(share, loadings(reading.names, whole, _MEMBERS)))
    return tuple(named), explained(table, contexts, groups), group_of


def _with_roles(heads: tuple[Head, ...], stated: tuple[Rule, ...]) -> tuple[Head, ...]:
    """Heads without a single role that are the first to carry an induction rule: that is theirs.

    They may look so after a few events only, which is little of all their attention.
    """
    carrying = {rule.heads[0].event for rule in stated if rule.kind == "induction"}
    return tuple(
        replace(head, role="induction") if head.role == "mixed" and head.name in carrying else head
        for head in heads
    )


def _skips(
    reading: Reading, arrays: Mapping[str, NDArray[Any]]
) -> tuple[tuple[Skip, ...], tuple[Skip, ...]]:
    """The strongest skip-trigrams, one for each k … q; and those that training never showed.

    A phantom raises an event that never came there; to lower one, no support is needed. The
    phantom that the model expects most comes first.
    """
    found = skip_trigrams(reading.weights, reading.reference, reading.sample, KEPT)
    kept = {tuple(triple): at for at, triple in enumerate(arrays["skips"].tolist())}
    told: dict[tuple[int, int], Skip] = {}
    phantoms: dict[tuple[int, int], Skip] = {}
    for at, (k, q, v) in enumerate(found.triples.tolist()):
        if (k, q, v) not in kept:  # rounding may let another one in at the end of the list
            continue
        seen, chances = arrays["skip_counts"][kept[k, q, v]].tolist()
        phantom = bool(found.effect[at] > 0.0 and seen == 0 and chances >= FEW)
        listed = phantoms if phantom else told
        if not phantom and ((k, q) in told or len(told) == _SKIPS):
            continue
        skip = Skip(
            earlier=reading.names[k],
            last=reading.names[q],
            following=reading.names[v],
            effect=float(found.effect[at]),
            paths=loadings(path_names(reading.weights), found.paths[at], 3),
            expected=expected(reading.sample, (k, q, v)),
            support=seen,
            chances=chances,
        )
        if (k, q) not in listed or skip.expected > listed[k, q].expected:
            listed[k, q] = skip
    ranked = sorted(phantoms.values(), key=lambda skip: -skip.expected)
    return tuple(told.values()), tuple(ranked[:_SKIPS])


def _compositions(reading: Reading) -> tuple[Composed, ...]:
    matching = {
        circuit.name: positivity(circuit.centred(reading.reference.last))
        for circuit in matching_circuits(reading.weights)
    }
    found = compositions(reading.weights)
    listed = [
        each
        for side in ("Q", "K", "V")
        for each in [one for one in found if one.side == side][:_COMPOSED]
    ]
    return tuple(
        Composed(
            each.first,
            each.second,
            each.side,
            each.score,
            each.baseline,
            matching[f"{each.first}→{each.second}"] if each.side == "K" else None,
        )
        for each in sorted(listed, key=lambda each: -each.score)
    )


def _follows(
    reading: Reading,
    direct: Float64[Array, "d_vocab d_vocab"],
    usual: Float64[Array, "d_vocab d_vocab"],
    counted: Float64[Array, "d_vocab d_vocab"],
) -> tuple[Follows, ...]:
    """The most frequent last events, and what followed each most often."""
    last = reading.as_last()
    return tuple(
        Follows(
            last=reading.names[q],
            share=float(last[q]),
            following=reading.names[v],
            direct=float(direct[q, v]),
            usual=float(usual[q, v]),
            counted=float(counted[q, v]),
        )
        for q in np.argsort(-last, kind="stable")[:_LASTS].tolist()
        for v in np.argsort(-counted[q], kind="stable")[:_NEXTS].tolist()
        if counted[q, v] > 0.0
    )


def _limits(
    reading: Reading, summary: Mapping[str, Any], phantoms: tuple[Skip, ...]
) -> tuple[str, ...]:
    """What this card, or the model, cannot be relied on for."""
    outcomes, weights = reading.reference.outcomes, reading.weights
    rare = int(np.count_nonzero(outcomes[NEW + 1 :] < FEW))
    kinds = weights.d_vocab - len(SPECIAL)
    said = [
        (
            f"{rare:,} of {kinds:,} kinds of events followed fewer than {FEW} times in training: "
            "what the tables say of them is little known"
        )
    ]
    if phantoms:
        said.append(
            f"{len(phantoms)} strong skip-trigrams raise an event that training never showed "
            "there, as heads treat all last events alike; the model expects it with at most "
            f"{percent(phantoms[0].expected)}"
        )
    farthest = max(len(window) - 1 for window in reading.sample.windows)
    if farthest < weights.window and weights.n_layers:
        said.append(
            f"no held-out window is longer than {farthest} events: what heads do from there to "
            f"{weights.window} events back is not trained much"
        )
    edits = summary.get("edits")
    if edits:
        kept = "" if edits[-1]["calibrated"] else "; thresholds were set before the last one"
        said.append(
            "the model was edited: the costs above but those without a path are of its training, "
            f"and rules that only edits made strong are not listed{kept}"
        )
    if summary.get("folds"):
        said.append(
            "streams were few: the windows are of streams that the decoder learned from too"
        )
    said.append(
        "where a head looks (QK) decides what it brings (OV); the tables show one of them at a time"
    )
    return tuple(said)
