"""The streams' state in the database: arrays, each in parts along its first axis."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from . import tables

_PART_BYTES = 8 << 20  # of an array in one row of the database

Arrays = Mapping[str, NDArray[np.generic]]


def save_arrays(connection: sa.Connection, shard: int, arrays: Arrays) -> None:
    """Save a shard's arrays in place of those saved before."""
    table = tables.states
    connection.execute(sa.delete(table).where(table.c.shard == shard))
    for name, array in arrays.items():
        step = max(1, _PART_BYTES * len(array) // max(1, array.nbytes))
        for part, start in enumerate(range(0, max(1, len(array)), step)):
            data = io.BytesIO()
            np.save(data, array[start : start + step], allow_pickle=False)
            values = {"shard": shard, "array": name, "part": part, "data": data.getvalue()}
            connection.execute(sa.insert(table).values(values))


def load_arrays(connection: sa.Connection, shard: int) -> dict[str, NDArray[np.generic]]:
    """The arrays saved last for a shard; empty if none were."""
    table = tables.states
    query = sa.select(table).where(table.c.shard == shard).order_by(table.c.array, table.c.part)
    parts: dict[str, list[NDArray[np.generic]]] = {}
    for row in connection.execute(query):
        loaded = np.load(io.BytesIO(row.data), allow_pickle=False)
        parts.setdefault(row.array, []).append(loaded)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
