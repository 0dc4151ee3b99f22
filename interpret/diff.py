"""Two models compared rule by rule, their events matched by name.

Both are read on the held-out windows of both, over the events that both know, and centred alike:
so what differs is what the weights say. Which head does what is a matter of chance in training, so
heads are matched by what they bring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import END, PAST, SPECIAL, START
from ..model.weights import Weights
from .card import Cardable
from .circuits import direct_path, ov_circuits
from .naming import shortened
from .paths import path_names
from .reference import Reference, read_reference
from .roles import role, role_scores
from .sample import Sample, observe, read_windows
from .skips import moved
from .work import share_of_work

Array = np.ndarray

DIFF_VERSION = 1
_HOLDS = math.log(2.0)  # nats from which on a model holds a rule, and a rule has changed
_LISTED = 16  # of each kind, in order of how much comes of the change


@dataclass(frozen=True)
class Change:
    """One rule in two models; nats of the next event's logit."""

    earlier: str | None  # None: the direct path, last → following
    last: str
    following: str
    before: float
    after: float
    support_before: int | None  # times that training showed it; None: not counted
    support_after: int | None

    @property
    def kind(self) -> str:
        """What became of the rule."""
        if abs(self.before) < _HOLDS:
            return "appeared"
        if abs(self.after) < _HOLDS:
            return "vanished"
        if self.before * self.after < 0.0:
            return "turned"
        return "stronger" if abs(self.after) > abs(self.before) else "weaker"


@dataclass(frozen=True)
class HeadPair:
    """A head, and the one of the other model that brings what is most like it."""

    before: str
    after: str
    alike: float  # cosine of what they bring
    role_before: str
    role_after: str
    loss_before: float  # nats an event would cost more without it
    loss_after: float


@dataclass(frozen=True)
class Diff:
    """What `after` has learned that `before` had not, and the other way round."""

    before: str
    after: str
    short: dict[str, str]  # names without the beginning that most events share
    shared: int  # kinds of events that both know
    lost: tuple[str, ...]  # most frequent first
    new: tuple[str, ...]
    windows: int
    heads: tuple[HeadPair, ...]
    bigrams: tuple[Change, ...]
    skips: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON value; nats."""
        value = {"version": DIFF_VERSION, **asdict(self)}
        for name in ("bigrams", "skips"):
            value[name] = [{"kind": each.kind, **asdict(each)} for each in getattr(self, name)]
        return value


@dataclass(frozen=True)
class _Side:
    """One of the two models; `ids` are the tokens of the events that both know, in one order."""

    model: Cardable
    weights: Weights
    reference: Reference
    sample: Sample
    ids: Int[Array, " shared"]


def diff(before: Cardable, after: Cardable) -> Diff:
    """The rules that differ between two models; ModelError if a folder lacks held-out windows.

    Of models that know no event in common there is nothing to compare.
    """
    shared = [*SPECIAL, *_both(before, after)]
    sides = tuple(_side(one, other, shared) for one, other in ((before, after), (after, before)))
    last = sum(side.reference.last[side.ids] for side in sides)
    last = np.asarray(last / last.sum())
    following = np.asarray(sum(side.reference.base_rates()[side.ids] for side in sides)) / 2.0
    following[[START, PAST]] = 0.0
    comparable = len(shared) > len(SPECIAL)
    return Diff(
        before=before.sha256,
        after=after.sha256,
        short={**shortened(after.vocabulary.names), **shortened(before.vocabulary.names)},
        shared=len(shared) - len(SPECIAL),
        lost=_only(before, after),
        new=_only(after, before),
        windows=len(sides[0].sample.windows),
        heads=_heads(sides, last, following) if comparable else (),
        bigrams=_bigrams(sides, shared, last) if comparable else (),
        skips=_skips(sides, shared, last) if comparable else (),
    )


def _both(before: Cardable, after: Cardable) -> list[str]:
    known = set(after.vocabulary.names)
    return [name for name in before.vocabulary.names[len(SPECIAL) :] if name in known]


def _only(model: Cardable, other: Cardable) -> tuple[str, ...]:
    known = set(other.vocabulary.names)
    return tuple(name for name in model.vocabulary.names if name not in known)


def _translated(model: Cardable, other: Cardable) -> Int[Array, " d_vocab"]:
    """For each token of `other` that of `model`."""
    special = len(SPECIAL)
    return np.array(
        [*range(special), *model.vocabulary.ids(other.vocabulary.names[special:])], dtype=np.int64
    )


def _side(model: Cardable, other: Cardable, shared: Sequence[str]) -> _Side:
    weights = model.weights.astype(np.float64)
    windows = read_windows(model.reference)
    # Versions of one model keep the same windows, which need not be looked at twice.
    known, tokens = {window.tobytes() for window in windows}, _translated(model, other)
    moved_over = [tokens[window] for window in read_windows(other.reference)]
    windows += [window for window in moved_over if window.tobytes() not in known]
    ids = np.array([*range(len(SPECIAL)), *model.vocabulary.ids(shared[len(SPECIAL) :])])
    return _Side(
        model,
        weights,
        read_reference(model.reference, weights),
        observe(weights, windows),
        ids,
    )


def _bigrams(
    sides: Sequence[_Side], shared: Sequence[str], last: Float64[Array, " shared"]
) -> tuple[Change, ...]:
    """Entries of the direct path, by √n(q, v) |Δ|: how far what never follows is held down says
    little, so it comes last.
    """
    before, after = (
        direct_path(side.weights).among(side.ids).centred(last).table() for side in sides
    )
    counts = [_counts(side) for side in sides]
    size = np.sqrt(0.5 + sum(counts)) * np.abs(after - before) * _changed(before, after)
    size[END], size[:, [START, PAST]] = 0.0, 0.0  # nothing follows an end, nor is a beginning
    changes = []
    for flat in np.argsort(-size, axis=None, kind="stable")[:_LISTED].tolist():
        at = divmod(flat, len(shared))
        if size[at]:
            cell = float(before[at]), float(after[at])
            support = [int(each[at]) for each in counts]
            changes.append(Change(None, shared[at[0]], shared[at[1]], *cell, *support))
    return tuple(changes)


def _counts(side: _Side) -> Int[Array, "shared shared"]:
    """How often each event came right after each in training."""
    d_vocab = side.weights.d_vocab
    counts = np.zeros((d_vocab, d_vocab), dtype=np.int64)
    counts.flat[side.reference.pairs] = side.reference.pair_counts
    return np.asarray(counts[np.ix_(side.ids, side.ids)])


def _skips(
    sides: Sequence[_Side], shared: Sequence[str], last: Float64[Array, " shared"]
) -> tuple[Change, ...]:
    """Skip-trigrams that either folder keeps, one for each k … q, by √n(k … q, v) |Δ|."""
    kept = [_kept(side) for side in sides]
    triples = np.array(sorted({**kept[0], **kept[1]}), dtype=np.int64).reshape(-1, 3)
    before, after = (_effects(side, triples, last) for side in sides)
    rules = [(k, q, v) for k, q, v in triples.tolist()]
    shown = [kept[0].get(rule, 0) + kept[1].get(rule, 0) for rule in rules]
    size = np.sqrt(0.5 + np.array(shown)) * np.abs(after - before) * _changed(before, after)
    changes: dict[tuple[int, int], Change] = {}
    for at in np.argsort(-size, kind="stable").tolist():
        k, q, v = rules[at]
        if not size[at] or len(changes) == _LISTED:
            break
        if (k, q) not in changes:
            cell = float(before[at]), float(after[at])
            support = [each.get((k, q, v)) for each in kept]
            changes[k, q] = Change(shared[k], shared[q], shared[v], *cell, *support)
    return tuple(changes.values())


def _kept(side: _Side) -> dict[tuple[int, int, int], int]:
    """The skip-trigrams in a folder among shared events, with how often training showed each."""
    place = np.full(side.weights.d_vocab, -1)
    place[side.ids] = np.arange(len(side.ids))
    triples = place[side.model.reference["skips"].astype(np.int64)]
    counts = side.model.reference["skip_counts"][:, 0].tolist()
    return {
        (k, q, v): count
        for (k, q, v), count in zip(triples.tolist(), counts, strict=True)
        if min(k, q, v) >= 0
    }


def _effects(
    side: _Side, triples: Int[Array, "triples 3"], last: Float64[Array, " shared"]
) -> Float64[Array, " triples"]:
    """Σ_p Ā_p[q, k] T̃_p[k, v]; 0 where the windows never have k before q."""
    attention, d_vocab = side.sample.attention, side.weights.d_vocab
    keys = attention.looking * d_vocab + attention.seen
    wanted = side.ids[triples[:, 1]] * d_vocab + side.ids[triples[:, 0]]
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = keys[at] == wanted
    effect = np.zeros(len(triples))
    for path, circuit in enumerate(ov_circuits(side.weights)):
        centred = circuit.among(side.ids).centred(last)
        effect += attention.mean[path, at] * moved(centred, triples)
    return np.where(there, effect, 0.0)


def _changed(before: Float64[Array, "*shape"], after: Float64[Array, "*shape"]) -> Array:
    """A rule that either model holds, by as much as it takes to hold one."""
    holds = np.maximum(np.abs(before), np.abs(after)) >= _HOLDS
    return np.asarray(holds & (np.abs(after - before) >= _HOLDS))


def _heads(
    sides: Sequence[_Side],
    last: Float64[Array, " shared"],
    following: Float64[Array, " shared"],
) -> tuple[HeadPair, ...]:
    """Heads of the same layer in pairs, the most alike taken first; one left over has none."""
    brings = [_brings(side, last, following) for side in sides]
    told = [_told(side) for side in sides]
    alike = {
        (one, other): float((brings[0][one] * brings[1][other]).sum())
        for one in brings[0]
        for other in brings[1]
        if one.partition("H")[0] == other.partition("H")[0]
    }
    pairs: dict[str, str] = {}
    for one, other in sorted(alike, key=lambda pair: -alike[pair]):
        if one not in pairs and other not in pairs.values():
            pairs[one] = other
    return tuple(
        HeadPair(
            one,
            pairs[one],
            alike[one, pairs[one]],
            told[0][one][0],
            told[1][pairs[one]][0],
            told[0][one][1],
            told[1][pairs[one]][1],
        )
        for one in brings[0]
        if one in pairs
    )


def _brings(
    side: _Side, last: Float64[Array, " shared"], following: Float64[Array, " shared"]
) -> dict[str, Float64[Array, "shared shared"]]:
    """√last T̃ √following of each head, of length 1."""
    tables = {}
    for circuit in ov_circuits(side.weights)[: side.weights.n_layers * side.weights.n_heads]:
        table = circuit.among(side.ids).centred(last).table()
        table = np.sqrt(last)[:, None] * table * np.sqrt(following)
        tables[circuit.name] = table / max(float(np.linalg.norm(table)), 1e-12)
    return tables


def _told(side: _Side) -> dict[str, tuple[str, float]]:
    """The role of each head, and what an event would cost more without it."""
    means, shares = role_scores(side.weights, [window[:-1] for window in side.sample.windows])
    work = {
        each.name: each.loss for each in share_of_work(side.weights, side.reference, side.sample)
    }
    names = path_names(side.weights)[: len(means)]
    return {
        name: (role(mean, share), work[name])
        for name, mean, share in zip(names, means, shares, strict=True)
    }
