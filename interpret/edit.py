"""A model edited: what was asked for, the weights that do it, and what they do to all else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int

from ..model.errors import InputError
from ..model.vocabulary import PAST, START
from ..model.weights import Weights
from .activations import Activations, run
from .card import Cardable
from .circuits import Circuit, direct_path, ov_circuits
from .damp import (
    damp_bigram,
    damp_head,
    damp_rule,
    damp_skip,
    ground,
    looks_back,
    mean_attention,
)
from .directions import softmax, surprisal
from .reference import Reference, read_reference
from .rule import head_named, pair_named, rule_named
from .sample import read_windows

Array = np.ndarray

_ASIDE = 3  # other entries that are told


@dataclass(frozen=True)
class Wish:
    """One path to damp, as the user says it."""

    kind: str  # "head", "bigram" or "rule"
    text: str
    by: float = 1.0  # share of it that goes

    def __post_init__(self) -> None:
        if not 0.0 < self.by <= 1.0:
            raise InputError(
                f"expected a share above 0 and up to 1, got {self.by:g}; 1 removes the path"
            )


@dataclass(frozen=True)
class Moved:
    """One cell of a table, T̃[row, column], before and after; nats."""

    table: str
    row: str
    column: str
    before: float
    after: float
    last: str | None = None  # of a rule after this last event alone: times the mean attention


@dataclass(frozen=True)
class _Place:
    """The entry that is meant."""

    path: str
    event: int  # the last one, of the direct path, or the one that a head reads
    following: int
    last: int | None = None
    layer: int | None = None  # whose head is to look elsewhere after this last event


@dataclass(frozen=True)
class Edit:
    """What was done, and what it does on the held-out windows; losses in nats per event."""

    path: str  # "L0H1", or "direct"
    by: float
    entry: Moved | None  # that was meant, of a bigram or a rule; None: the whole head
    loss: float
    predicted: float  # if heads looked where they did
    measured: float
    there: float  # how far predictions move where the path speaks: Σ p log (p / p′), mean
    elsewhere: float | None  # and where it does not; None: it speaks everywhere
    events: int  # that were predicted
    aside: tuple[Moved, ...]  # what else moved most, by how often the events come


def edit(model: Cardable, wish: Wish) -> tuple[Weights, Edit]:
    """The edited weights, float32 as they will serve, and what they do."""
    before = model.weights.astype(np.float64)
    reference, windows = read_reference(model.reference, before), read_windows(model.reference)
    seen = ground(before, reference, windows)
    place: _Place | None = None
    if wish.kind == "head":
        layer, head = head_named(before, wish.text)
        path, after = f"L{layer}H{head}", damp_head(seen, layer, head, wish.by)
    elif wish.kind == "bigram":
        last, following = pair_named(model.vocabulary, wish.text)
        path, place = "direct", _Place("direct", last, following)
        after = damp_bigram(seen, last, following, wish.by)
    else:
        (layer, head), (earlier, only, following) = rule_named(before, model.vocabulary, wish.text)
        path = f"L{layer}H{head}"
        if only is None:
            place = _Place(path, earlier, following)
            after = damp_rule(seen, layer, head, earlier, following, wish.by)
        else:
            place = _Place(path, earlier, following, only, layer)
            after = damp_skip(seen, layer, head, earlier, only, following, wish.by)
    served = after.astype(np.float32)
    after = served.astype(np.float64)
    entry: Moved | None = None
    aside: tuple[Moved, ...] = ()
    if place is not None and place.last is not None:
        was, now = (
            mean_attention(each, seen.runs, layer, head, place.event, place.last)
            for each in (before, after)
        )
        moved = _brought(model.vocabulary.names, reference, before, place)
        entry, *others = (
            replace(each, before=was * each.before, after=now * each.after) for each in moved
        )
        aside = tuple(others)
    elif place is not None:
        entry, aside = _moved(model.vocabulary.names, reference, before, after, place)
    return served, Edit(path, wish.by, entry, *_effect(before, after, windows, place), aside)


def attend_as(weights: Weights, before: Activations) -> Float64[Array, "positions d_vocab"]:
    """Logits if the heads of `weights` looked where those of another decoder did."""
    resid = weights.W_E[before.tokens]
    for index, layer in enumerate(before.layers):
        v = resid @ weights.W_V[index] + weights.b_V[index][:, None]
        written = (layer.pattern @ v @ weights.W_O[index]).sum(axis=0)
        resid = resid + written + weights.b_O[index]
    return np.asarray(resid @ weights.W_U + weights.b_U)


def _effect(
    before: Weights,
    after: Weights,
    windows: Sequence[Int[Array, " _"]],
    place: _Place | None,
) -> tuple[float, float, float, float, float | None, int]:
    """The loss before, predicted and measured; how far predictions move; and of how many events.

    Heads look where they did, but for one that is to look elsewhere after one event.
    """
    averted = None if place is None else place.layer
    losses, moves, speaks = np.zeros(3), [], []
    for window in windows:
        tokens, following = window[:-1], window[1:]
        was, now = run(before, tokens), run(after, tokens)
        layers = tuple(
            (now if index == averted else was).layers[index] for index in range(before.n_layers)
        )
        predicted = attend_as(after, replace(was, layers=layers))
        logits = (was.logits, predicted, now.logits)
        losses += [surprisal(each, following).sum() for each in logits]
        old, new = (np.log(np.maximum(softmax(logits[at]), 1e-300)) for at in (0, 2))
        moves.append((np.exp(old) * (old - new)).sum(axis=1))
        speaks.append(_speaks(tokens, before.window, place))
    moved, there = np.concatenate(moves), np.concatenate(speaks)
    elsewhere = None if place is None else _mean(moved[~there])
    return (*(losses / len(moved)).tolist(), _mean(moved[there]), elsewhere, len(moved))


def _speaks(
    tokens: Int[Array, " positions"], window: int, place: _Place | None
) -> Bool[Array, " positions"]:
    """Where a path has something to say: after its last event, its earlier one before, or both."""
    if place is None:
        return np.ones(len(tokens), np.bool_)
    if place.last is not None:
        return np.asarray(looks_back(tokens, window, place.event, place.last).any(axis=1))
    there = tokens == place.event
    return there if place.path == "direct" else np.asarray(np.logical_or.accumulate(there))


def _mean(values: Float64[Array, " _"]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _moved(
    names: Sequence[str],
    reference: Reference,
    before: Weights,
    after: Weights,
    place: _Place,
) -> tuple[Moved, tuple[Moved, ...]]:
    """The cell that was meant, and those that moved most besides, by √rows |Δ| √columns."""
    rows, columns = np.sqrt(reference.last), np.sqrt(reference.base_rates())
    rows[[START, PAST]] = 0.0
    at_place = place.event, place.following
    found: list[tuple[float, Moved]] = []
    meant: list[Moved] = []
    for old, new in zip(_circuits(before), _circuits(after), strict=True):
        was, now = (circuit.centred(reference.last).table() for circuit in (old, new))
        size = rows[:, None] * np.abs(now - was) * columns
        if old.name == place.path:
            meant.append(_cell(old.name, names, was, now, at_place))
            size[at_place] = 0.0
        for flat in np.argsort(-size, axis=None, kind="stable")[:_ASIDE].tolist():
            at = divmod(flat, len(names))
            found.append((float(size[at]), _cell(old.name, names, was, now, at)))
    found.sort(key=lambda each: -each[0])
    return meant[0], tuple(each for size, each in found[:_ASIDE] if size > 0.0)


def _brought(
    names: Sequence[str], reference: Reference, weights: Weights, place: _Place
) -> list[Moved]:
    """T̃[event, v] at full attention: of the outcome that is meant, then of those that move most
    with it, by |T̃| √columns.
    """
    (circuit,) = (each for each in ov_circuits(weights) if each.name == place.path)
    circuit = circuit.centred(reference.last)
    brought = circuit.left[place.event] @ circuit.right
    size = np.abs(brought) * np.sqrt(reference.base_rates())
    size[place.following] = np.inf
    last = None if place.last is None else names[place.last]
    return [
        Moved(place.path, names[place.event], names[v], float(brought[v]), float(brought[v]), last)
        for v in np.argsort(-size, kind="stable")[: 1 + _ASIDE].tolist()
    ]


def _cell(
    table: str,
    names: Sequence[str],
    was: Float64[Array, "d_vocab d_vocab"],
    now: Float64[Array, "d_vocab d_vocab"],
    at: tuple[int, int],
) -> Moved:
    return Moved(table, names[at[0]], names[at[1]], float(was[at]), float(now[at]))


def _circuits(weights: Weights) -> list[Circuit]:
    return [direct_path(weights), *ov_circuits(weights)]
