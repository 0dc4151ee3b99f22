"""What is saved of streams: columns by name with a row each, their keys as bytes, and the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

_OTHERS = ("key_bytes", "clock")  # that have no row a stream


def only(
    snapshot: Mapping[str, NDArray[Any]], keep: Bool[np.ndarray, " streams"]
) -> dict[str, NDArray[Any]]:
    """The snapshot of `Streams` without those streams that are not to be kept."""
    kept = {name: column[keep] for name, column in snapshot.items() if name not in _OTHERS}
    kept["key_bytes"] = snapshot["key_bytes"][np.repeat(keep, snapshot["key_lengths"])]
    return {**snapshot, **kept}


def without_doubles(snapshot: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Parts of different moments may both hold a stream that was forgotten and came back in
    between: the snapshot with each only as it was last.
    """
    keys = keys_of(snapshot)
    newest = np.argsort(snapshot["touched"], kind="stable")
    last = {keys[row]: row for row in newest.tolist()}
    if len(last) == len(keys):
        return snapshot
    keep = np.zeros(len(keys), np.bool_)
    keep[list(last.values())] = True
    return only(snapshot, keep)


def keys_of(snapshot: Mapping[str, NDArray[Any]]) -> list[str]:
    """The streams' keys, row by row."""
    whole = snapshot["key_bytes"].astype(np.uint8).tobytes()
    lengths = snapshot["key_lengths"].astype(np.int64)
    ends = np.cumsum(lengths)
    return [whole[end - size : end].decode() for end, size in zip(ends, lengths, strict=True)]
