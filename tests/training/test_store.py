"""Columns on disk hold what was appended, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offscript.training.store import Column, Pieces


def test_a_column_holds_what_was_appended_and_leaves_no_file(tmp_path: Path) -> None:
    column = Column(np.int32, tmp_path)
    column.append(np.array([3, 1]))
    column.append(np.array([], np.int32))
    column.append(np.array([2]))

    values = column.array()

    assert values.tolist() == [3, 1, 2]
    assert values.dtype == np.int32
    assert list(tmp_path.iterdir()) == []


def test_an_empty_column_is_an_empty_array() -> None:
    assert Column(np.float64, None).array().tolist() == []


def test_pieces_are_found_by_number_from_either_end() -> None:
    pieces = Pieces(np.arange(6, dtype=np.int32), np.array([0, 2, 2, 6]))

    assert [piece.tolist() for piece in pieces] == [[0, 1], [], [2, 3, 4, 5]]
    assert pieces[-1].tolist() == [2, 3, 4, 5]
    assert [piece.tolist() for piece in pieces[:2]] == [[0, 1], []]
    with pytest.raises(IndexError):
        pieces[3]
