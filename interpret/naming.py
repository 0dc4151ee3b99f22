"""Tables and vectors over tokens told by the names of events: their largest cells and loadings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import PAST, SPECIAL, START
from ..model.weights import Weights
from .card import Direction, Pair, Weight
from .circuits import Circuit, singular
from .reference import Reference
from .sample import Sample

Array = np.ndarray

_CELLS = 8
_DIRECTIONS = 3
_LOADINGS = 4
_FREQUENT = 200  # events on each side among which the largest cell is looked for


@dataclass(frozen=True)
class Reading:
    """What a model is read from; `weights` in float64."""

    names: Sequence[str]
    weights: Weights
    reference: Reference
    sample: Sample

    def as_last(self) -> Float64[Array, " d_vocab"]:
        """How often each event is read; a beginning, which is no event, never."""
        last = self.reference.last.copy()
        last[[START, PAST]] = 0.0
        return last

    def as_next(self) -> Float64[Array, " d_vocab"]:
        """How often each event follows; a beginning never does."""
        rates = self.reference.base_rates()
        rates[[START, PAST]] = 0.0
        return rates


def shortened(names: Sequence[str]) -> dict[str, str]:
    """Names without their first words as long as half of all names begin so, where that is clear.

    A name keeps its last word, and two names stay two.
    """
    words = {name: name.split(" ") for name in names[len(SPECIAL) :]}
    beginnings = Counter(
        tuple(said[:length]) for said in words.values() for length in range(1, len(said))
    )
    short = {}
    for name, said in words.items():
        shared = 0
        while shared < len(said) - 1 and 2 * beginnings[tuple(said[: shared + 1])] > len(words):
            shared += 1
        short[name] = " ".join(said[shared:])
    times = Counter(short.values())
    return {name: brief if times[brief] == 1 else name for name, brief in short.items()}


def largest_cells(
    names: Sequence[str],
    circuit: Circuit,
    rows: Float64[Array, " d_vocab"],
    columns: Float64[Array, " d_vocab"],
) -> tuple[Pair, ...]:
    """The cells with the largest √rows[k] |T[k, v]| √columns[v], among the most frequent events."""
    first, second = (np.argsort(-side, kind="stable")[:_FREQUENT] for side in (rows, columns))
    table = circuit.left[first] @ circuit.right[:, second]
    size = np.sqrt(rows[first])[:, None] * np.abs(table) * np.sqrt(columns[second])
    order = np.argsort(-size, axis=None, kind="stable")[:_CELLS]
    cells = zip(*np.unravel_index(order, size.shape), strict=True)
    return tuple(
        Pair(names[first[row]], names[second[column]], float(table[row, column]))
        for row, column in cells
        if size[row, column] > 0.0
    )


def directions(
    names: Sequence[str],
    circuit: Circuit,
    rows: Float64[Array, " d_vocab"],
    columns: Float64[Array, " d_vocab"],
) -> tuple[Direction, ...]:
    """The strongest singular directions of √rows T √columns, each side by its largest loadings.

    Without these weights, events that hardly ever come would lead, as little holds their weights.
    """
    weighted = Circuit(
        circuit.name, np.sqrt(rows)[:, None] * circuit.left, circuit.right * np.sqrt(columns)
    )
    found = singular(weighted, _DIRECTIONS)
    return tuple(
        Direction(
            value=float(found.values[index]),
            share=float(found.share[index]),
            reads=loadings(names, found.left[:, index]),
            writes=loadings(names, found.right[index]),
        )
        for index in range(len(found.values))
        if found.values[index] > 0.0
    )


def loadings(
    names: Sequence[str], vector: Float64[Array, " d_vocab"], most: int = _LOADINGS
) -> tuple[Weight, ...]:
    """The events with the largest entries, of either sign."""
    order = np.argsort(-np.abs(vector), kind="stable")[:most]
    return tuple(Weight(names[i], float(vector[i])) for i in order.tolist() if vector[i])


def cells(table: Float64[Array, "rows columns"]) -> tuple[tuple[float, ...], ...]:
    """A table as it is kept in a card."""
    return tuple(tuple(row) for row in table.tolist())


def among(circuit: Circuit, shown: Int[Array, " shown"]) -> tuple[tuple[float, ...], ...]:
    """The cells of a circuit between the events shown."""
    return cells(circuit.among(shown).table())
