"""A coded column is the list of its rows, however it was made."""

from __future__ import annotations

import numpy as np

from offscript.model.coded import Coded

DOOR = Coded(("open", "shut", None), np.array([1, -1, 0], np.int32))


def test_its_rows_are_read_and_cut_as_those_of_a_list() -> None:
    assert list(DOOR) == ["shut", None, "open"]
    assert list(DOOR[1:]) == [None, "open"]
    assert (DOOR[0], DOOR[-1], len(DOOR)) == ("shut", "open", 3)
    assert ["first", *DOOR[::-1]] == ["first", "open", None, "shut"]
    assert list(DOOR.take(np.array([2, 2]))) == ["open", "open"]


def test_a_list_becomes_a_column_and_a_column_stays_what_it_is() -> None:
    assert list(Coded.of(["a", "b", "a"])) == ["a", "b", "a"]
    assert Coded.of(DOOR) is DOOR


def test_a_column_is_equal_to_the_list_of_its_rows_and_to_no_other() -> None:
    assert DOOR == ["shut", None, "open"]
    assert DOOR != ["shut", None]
    assert DOOR != 3


def test_a_compact_column_has_each_text_once() -> None:
    column = Coded(["a", "b", "a"], np.array([2, 1, 0, -1]))

    for rows in (column, list(column)):
        compact = Coded.compact(rows)
        assert compact == ["a", "b", "a", "a"]
        assert compact.values == ["a", "b"]


def test_columns_one_after_the_other_have_all_their_rows() -> None:
    letter: list[str | None] = ["a"]
    both = Coded.joined([DOOR, Coded.of(letter), Coded((), np.zeros(0, np.int64)), DOOR])

    assert list(both) == ["shut", None, "open", "a", "shut", None, "open"]
