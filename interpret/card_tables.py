"""The full tables of a decoder as data beside its card: every circuit over all events, by name."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .card import Cardable
from .circuits import asking_circuits, direct_path, matching_circuits, ov_circuits, qk_circuits
from .reference import read_reference

Array = np.ndarray


def write_tables(path: Path, model: Cardable) -> str:
    """Write what `numpy.load` reads, one table at a time; returns in a sentence what it was."""
    written, size = 0, len(model.vocabulary)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in tables(model):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
            written += array.ndim == 2
    return f"{written} tables of {size} × {size} events written to {path}"


def tables(model: Cardable) -> Iterator[tuple[str, Array]]:
    """Names and arrays: `events`, then the tables over them in float32, centred as the card's are.

    `direct`; `L0H1-ov` of each head and virtual head; `L0H1-qk` and `L0H1-distance` of each head;
    `L0H1→L1H2-q` and `-k`, what the second head's scores have of what the first brought.
    """
    weights = model.weights.astype(np.float64)
    last = read_reference(model.reference, weights).last
    heads = qk_circuits(weights)
    yield "events", np.array(model.vocabulary.names)
    yield "direct", _single(direct_path(weights).centred(last).table())
    for circuit in ov_circuits(weights):
        yield f"{circuit.name}-ov", _single(circuit.centred(last).table())
    composed = (("q", asking_circuits(weights)), ("k", matching_circuits(weights)))
    for side, circuits in (("qk", heads), *composed):
        for circuit in circuits:
            yield f"{circuit.name}-{side}", _single(circuit.row_centred(last).table())
    for head, rho in zip(heads, weights.rho.reshape(-1, weights.window), strict=True):
        yield f"{head.name}-distance", _single(rho)


def _single(table: Array) -> Array:
    return np.asarray(table, dtype=np.float32)
