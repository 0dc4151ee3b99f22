"""Tests of the table that says which row a stream has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from offscript.model import rows as module
from offscript.model.rows import Rows


def _at_the_end(keys: Sequence[str]) -> NDArray[np.int64]:
    return np.array([(int(key) << 10) - int(key) % 3 for key in keys], dtype=np.int64)


@pytest.mark.parametrize("crowded", [False, True])
def test_keys_come_and_go_as_in_a_dictionary(
    crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where most keys ask for the same few slots at the table's end, so that it wraps."""
    if crowded:
        monkeypatch.setattr(module, "_hashes", _at_the_end)
    rng = np.random.default_rng(0)
    rows, known = Rows(), dict[str, int]()
    keys = [str(n) for n in range(400)]
    for turn in range(60):
        new = [key for key in rng.choice(keys, 40, replace=False).tolist() if key not in known]
        rows.put(new, np.arange(100 * turn, 100 * turn + len(new)))
        known.update(zip(new, range(100 * turn, 100 * turn + len(new)), strict=True))
        gone = rng.choice(list(known), min(25, len(known)), replace=False).tolist()
        rows.remove([*gone, "400"])  # the last one never was there
        for key in gone:
            del known[key]

        assert rows.find(keys).tolist() == [known.get(key, -1) for key in keys]
        assert len(rows) == len(known)


def test_the_table_grows_with_what_it_holds() -> None:
    rows = Rows()
    keys = [f"stream {n}" for n in range(5000)]
    rows.put(keys[:4000], np.arange(4000))
    rows.put(keys[4000:], np.arange(4000, 5000))

    assert rows.find(["none", *keys]).tolist() == [-1, *range(5000)]
    assert rows.find([]).tolist() == []
