"""Streams' state as it is stored: of rings what is in use, of counts those that are not zero.

Most streams are short, and most kinds of events never come in them: so it is a quarter of
what it is in memory on the recording, and less to write while events wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from ..model.errors import ModelError

_RINGS = ("ring", "gaps")  # one entry an event, position modulo the width
_TOKEN, _KINDS, _WIDTHS = "tally_token", "tally_kinds", "widths"


def compact(part: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What of a part of a detector's state is in use, all its other arrays as they are.

    `ring`, `gaps` and `tally` become flat, row after row; `tally_token` says what each count is of,
    `tally_kinds` how many a stream has, `widths` how wide a row of the three was.
    """
    tally = part["tally"]
    row, token = np.nonzero(tally)
    kept = {name: part[name][_used(part["length"], part[name].shape[1])] for name in _RINGS}
    return {
        **part,
        **kept,
        "tally": tally[row, token],
        _TOKEN: token.astype(np.uint16),
        _KINDS: np.bincount(row, minlength=len(tally)),
        _WIDTHS: np.array([part[name].shape[1] for name in (*_RINGS, "tally")]),
    }


def expanded(stored: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """What `compact` was given, with zeros for what is not in use; else as it is.

    ModelError if it is damaged.
    """
    if _WIDTHS not in stored:
        return stored
    part = dict(stored)
    token, kinds, widths = part.pop(_TOKEN), part.pop(_KINDS), part.pop(_WIDTHS).tolist()
    try:
        for name, width in zip(_RINGS, widths, strict=False):
            used = _used(part["length"], width)
            part[name] = np.zeros(used.shape, stored[name].dtype)
            part[name][used] = stored[name]
        part["tally"] = np.zeros((len(kinds), widths[-1]), stored["tally"].dtype)
        part["tally"][np.repeat(np.arange(len(kinds)), kinds), token] = stored["tally"]
    except (ValueError, IndexError) as error:
        raise ModelError(f"the saved streams are damaged: {error}") from error
    return part


def _used(length: Int64[np.ndarray, " streams"], width: int) -> Bool[np.ndarray, "streams width"]:
    """Which places of a ring have been written to since the stream began."""
    return np.asarray(np.arange(width) < length[:, None])
