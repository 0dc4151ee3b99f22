"""The streams' state in the database: small arrays as a whole, those of the streams in parts."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from . import tables

_STREAMS = "streams"  # the name of the parts

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Saved:
    """What of a shard is to be saved in place of what was saved before."""

    arrays: Arrays = field(default_factory=dict)  # all of them, or none
    parts: Mapping[int, Arrays] = field(default_factory=dict)  # of its streams by number
    afresh: bool = False  # nothing that was saved before counts any more

    @property
    def nbytes(self) -> int:
        every = (self.arrays, *self.parts.values())
        return sum(array.nbytes for arrays in every for array in arrays.values())


def save_arrays(connection: sa.Connection, model: str, shard: int, saved: Saved) -> None:
    """Save the arrays of a model's shard, if there are any, and parts of its streams."""
    table = tables.shards
    old = (table.c.model_name == model) & (table.c.shard == shard)
    if not saved.afresh:
        replaced = (table.c.array == _STREAMS) & table.c.part.in_(list(saved.parts))
        old &= replaced | (table.c.array != _STREAMS) if saved.arrays else replaced
    connection.execute(sa.delete(table).where(old))
    own = {"model_name": model, "shard": shard}
    values = [
        {**own, "array": _STREAMS, "part": part, "data": _packed(arrays)}
        for part, arrays in saved.parts.items()
    ]
    if saved.arrays:
        values.append({**own, "array": "shard", "part": 0, "data": _packed(saved.arrays)})
    connection.execute(sa.insert(table), values)


def load_arrays(
    connection: sa.Connection, model: str, shard: int
) -> dict[str, NDArray[np.generic]]:
    """The arrays saved last for a shard, those of its parts put together; empty if none were."""
    table = tables.shards
    own = (table.c.model_name == model) & (table.c.shard == shard)
    found: dict[str, list[NDArray[np.generic]]] = {}
    for row in connection.execute(
        sa.select(table).where(own).order_by(table.c.array, table.c.part)
    ):
        file = np.load(io.BytesIO(row.data), allow_pickle=False)
        # A version before this one saved each array by itself; its state is given up.
        for name in file.files if isinstance(file, np.lib.npyio.NpzFile) else ():
            found.setdefault(name, []).append(file[name])
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def _packed(arrays: Arrays) -> bytes:
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    return data.getvalue()
