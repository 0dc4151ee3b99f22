"""The streams' state in the database: small arrays as a whole, those of the streams in parts.

Parts are of a state with a name of its own, and that state counts whose arrays are there: another
one takes its place piece by piece, and until its arrays are saved, which go last, the one before it
is what a service would go on from. No piece of that one comes any more once the next has begun.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from safetensors.numpy import load, save

from . import tables
from .compact import compact, expanded

_ARRAYS = "shard"  # what is no part of the streams
_STATE = "state"  # the name of the state that counts
_COMPLETE = "complete"  # a mark that nothing happened after the state was saved
_UNNAMED = "streams"  # the name of what an earlier version saved, which had one state only
_ZIP = b"PK"  # what NumPy's archives begin with
_CLEARED = 2  # parts of a state before that are deleted at a time

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Saved:
    """What of a shard is to be saved in place of what was saved of this state before."""

    state: str  # its name
    arrays: Arrays = field(default_factory=dict)  # all of them, or none
    parts: Mapping[int, Arrays] = field(default_factory=dict)  # of its streams by number
    complete: bool = False  # nothing will happen to the streams any more
    first: bool = False  # of a run: from here on it is no longer so

    @property
    def nbytes(self) -> int:
        every = (self.arrays, *self.parts.values())
        return sum(array.nbytes for arrays in every for array in arrays.values())


def save_arrays(connection: sa.Connection, model: str, shard: int, saved: Saved) -> None:
    """Save the arrays of a model's shard, if there are any, and parts of its streams."""
    own: dict[str, str | int] = {"of_model": model, "of_shard": shard}
    rows = [(saved.state, part, save(compact(arrays))) for part, arrays in saved.parts.items()]
    if saved.arrays:
        rows += [(_ARRAYS, 0, _packed(saved.arrays)), (_STATE, 0, saved.state.encode())]
    if saved.complete:
        rows.append((_COMPLETE, 0, b""))
    old = {(_COMPLETE, 0), *((array, part) for array, part, _ in rows)}
    connection.execute(_DELETE, [{**own, "is_array": array, "is_part": at} for array, at in old])
    columns = {"model_name": model, "shard": shard}
    values = [{**columns, "array": array, "part": at, "data": data} for array, at, data in rows]
    connection.execute(_INSERT, values)
    if _state(connection, own) == saved.state:
        _clear(connection, own, saved.state, all_of_them=saved.complete)


def load_arrays(
    connection: sa.Connection, model: str, shard: int
) -> dict[str, NDArray[np.generic]]:
    """The arrays saved last for a shard, those of its parts put together; empty if none were.

    `complete` says whether nothing happened to the streams afterwards.
    """
    table = tables.shards
    own = (table.c.model_name == model) & (table.c.shard == shard)
    query = sa.select(table.c.data).where(own).order_by(table.c.part)
    found: dict[str, list[NDArray[np.generic]]] = {}
    for array in (_ARRAYS, _state(connection, {"of_model": model, "of_shard": shard})):
        for data in connection.scalars(query.where(table.c.array == array)):
            for name, values in _unpacked(data).items():
                found.setdefault(name, []).append(values)
    if not found:
        return {}
    mark = sa.select(table.c.part).where(own & (table.c.array == _COMPLETE))
    complete = connection.scalar(mark) is not None
    if not complete and "complete" in found:  # an earlier version said so among the arrays
        more = sa.select(table.c.part).where(own & table.c.array.not_in([_ARRAYS, _UNNAMED]))
        complete = bool(found["complete"][0].all()) and connection.scalar(more.limit(1)) is None
    whole = {name: np.concatenate(each) for name, each in found.items()}
    return {**whole, "complete": np.array([complete])}


def _state(connection: sa.Connection, own: Mapping[str, str | int]) -> str | None:
    """The name of the state that counts; None if there is none yet."""
    found = connection.scalar(_NAMED, own)
    if found is None:
        return connection.scalar(_HAS_UNNAMED, own)
    return bytes(found).decode(errors="replace")  # though it be damaged


def _clear(
    connection: sa.Connection, own: Mapping[str, str | int], state: str, *, all_of_them: bool
) -> None:
    """Delete parts of states that count no more; all at once would take long."""
    others = _OTHERS if all_of_them else _OTHERS.limit(_CLEARED)
    for row in connection.execute(others, {**own, "state": state}).all():
        connection.execute(_DELETE, {**own, "is_array": row.array, "is_part": row.part})


def _packed(arrays: Arrays) -> bytes:
    """All but parts: there are texts among them."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    return data.getvalue()


def _unpacked(data: bytes) -> Arrays:
    if data[: len(_ZIP)] != _ZIP:
        return expanded(load(data))
    with np.load(io.BytesIO(data), allow_pickle=False) as file:  # parts, too, in earlier versions
        return {name: file[name] for name in file.files}


# Made once, as building a statement costs more than running it.
_SHARDS = tables.shards.c
_OWN = sa.and_(
    _SHARDS.model_name == sa.bindparam("of_model"), _SHARDS.shard == sa.bindparam("of_shard")
)
_INSERT = sa.insert(tables.shards)
_DELETE = sa.delete(tables.shards).where(
    _OWN, _SHARDS.array == sa.bindparam("is_array"), _SHARDS.part == sa.bindparam("is_part")
)
_NAMED = sa.select(_SHARDS.data).where(_OWN, _SHARDS.array == _STATE)
_HAS_UNNAMED = sa.select(_SHARDS.array).where(_OWN, _SHARDS.array == _UNNAMED).limit(1)
_OTHERS = sa.select(_SHARDS.array, _SHARDS.part).where(
    _OWN,
    _SHARDS.array != sa.bindparam("state"),
    _SHARDS.array.not_in([_STATE, _ARRAYS, _COMPLETE]),
)
