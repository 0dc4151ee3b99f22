"""How often training showed what followed an event with another one somewhere before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import NDArray

from ..model.vocabulary import NEW, PAST

Array = np.ndarray

_COUNTED = 1 << 23  # cells of the table while training counts …
_KEPT = 1 << 18  # … and those of them, none empty, that a model folder keeps: 4 MB


@dataclass(frozen=True)
class Support:
    """How often training showed an event before the last one, and what was expected after both."""

    count: int  # of the chances, those where one of the expected events came next
    chances: int


@dataclass(frozen=True)
class Contexts:
    """n(k … q → v): how often v came right after q with k before it, for some q.

    Before: in the same sequence, among all that a prediction depends on; q itself not counted, and
    however often k came there, once.
    """

    counted: Int[Array, " events"]  # the q that are known, sorted
    keys: Int[Array, " triples"]  # sorted: d_vocab · (d_vocab · k + q) + v
    times: Int[Array, " triples"]

    def support(self, k: int, q: int, expected: Iterable[int], d_vocab: int) -> Support | None:
        """Of one of the expected after k … q; None where that was not counted.

        Training makes streams that are joined in the middle, and unseen events, of its own
        sequences: how often says nothing.
        """
        if q not in self.counted or {k, q} & {PAST, NEW}:
            return None
        first = d_vocab * (d_vocab * k + q)
        begin, end = np.searchsorted(self.keys, [first, first + d_vocab])
        following, times = self.keys[begin:end] - first, self.times[begin:end]
        count = times[np.isin(following, list(expected))].sum()
        return Support(int(count), int(times.sum()))


def fit_contexts(
    arrays: Mapping[str, Array],
    sequences: Sequence[Int[Array, " _"]],
    times: Int[Array, " sequences"],
    *,
    reach: int,
) -> dict[str, Array]:
    """The arrays of `Contexts`: of the events q most often seen, as far as there is room.

    `arrays` are the reference of the same sequences, each of which came so many `times`; k lies at
    most `reach` events before q.
    """
    d_vocab, pairs = len(arrays["outcomes"]), arrays["pairs"]
    often = np.bincount(pairs // d_vocab, arrays["pair_counts"], d_vocab)
    cells = d_vocab * np.bincount(pairs // d_vocab, minlength=d_vocab)
    pairs = pairs[np.isin(pairs // d_vocab, _fitting(often, cells, _COUNTED))]
    table = _count(d_vocab, pairs, sequences, times, reach)
    earlier, column = np.nonzero(table)
    last = pairs[column] // d_vocab
    filled = np.bincount(last, minlength=d_vocab)
    often[np.setdiff1d(np.arange(d_vocab), pairs // d_vocab)] = 0.0
    counted = _fitting(often, filled, _KEPT)
    kept = np.isin(last, counted)
    return {
        "contexts": earlier[kept] * d_vocab**2 + pairs[column[kept]],
        "context_counts": table[earlier[kept], column[kept]],
        "contexts_of": counted.astype(np.int32),
    }


def _count(
    d_vocab: int,
    pairs: Int[Array, " pairs"],
    sequences: Sequence[Int[Array, " _"]],
    times: Int[Array, " sequences"],
    reach: int,
) -> Int[Array, "d_vocab pairs"]:
    """How often each of the sorted pairs q, v came with each k before it."""
    usable = [index for index, sequence in enumerate(sequences) if len(sequence) > 1]
    width = len(pairs) + 1  # with a column for other pairs
    table = np.zeros(d_vocab * width, dtype=np.int64)
    if not usable or not len(pairs):
        return table.reshape(d_vocab, width)[:, :-1]
    tokens = np.concatenate([sequences[index] for index in usable]).astype(np.int64)
    lengths = np.array([len(sequences[index]) for index in usable])
    each = np.repeat(times[usable], lengths)
    ends = np.repeat((np.cumsum(lengths) - 1).astype(np.int32), lengths)  # nothing comes after
    key = tokens[:-1] * d_vocab + tokens[1:]
    column = np.minimum(np.searchsorted(pairs, key), len(pairs) - 1)
    column[pairs[column] != key] = len(pairs)
    upcoming = _next_alike(tokens)
    k = np.arange(len(tokens), dtype=np.int32)
    for lag in range(1, reach + 1):
        # The nearest of its kind stands for all of them.
        k = k[(k + lag < ends[k]) & (upcoming[k] >= k + lag)]
        np.add.at(table, tokens[k] * width + column[k + lag], each[k + lag])
    return table.reshape(d_vocab, width)[:, :-1]


def read_contexts(arrays: Mapping[str, NDArray[np.generic]]) -> Contexts:
    """Those in a model's reference; a model of an earlier version knows of none."""
    nothing = np.zeros(0, dtype=np.int64)
    names = ("contexts_of", "contexts", "context_counts")
    return Contexts(*(np.asarray(arrays.get(name, nothing)) for name in names))


def _fitting(
    often: Float64[Array, " d_vocab"], size: Int[Array, " d_vocab"], room: int
) -> Int[Array, " some"]:
    """The events most often seen, sorted, of which all together leave room; none never seen."""
    taken = []
    for event in np.argsort(-often, kind="stable").tolist():
        if often[event] and size[event] <= room:
            taken.append(event)
            room -= int(size[event])
    return np.sort(np.array(taken, dtype=np.int64))


def _next_alike(tokens: Int[Array, " positions"]) -> Int[Array, " positions"]:
    """Where each event comes again, in whichever sequence; past the end where it does not."""
    order = np.argsort(tokens, kind="stable")
    again = np.full(len(tokens), len(tokens), dtype=np.int32)
    alike = tokens[order[1:]] == tokens[order[:-1]]
    again[order[:-1][alike]] = order[1:][alike]
    return again
