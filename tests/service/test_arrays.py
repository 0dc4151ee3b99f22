"""A shard's state in the store: which of two counts, and whether it is all that there was."""

from __future__ import annotations

import io

import numpy as np
import pytest
import sqlalchemy as sa
from safetensors.numpy import save

from offscript.model.errors import ModelError
from offscript.service import tables
from offscript.service.arrays import Saved
from offscript.service.compact import compact
from offscript.service.store import Store
from offscript.tests.service.states import part


def test_of_a_shards_state_only_what_has_changed_is_written_again(store: Store) -> None:
    small = {"names": np.array(["a", "bcd"])}
    store.write([], [("", 0, Saved("one", small, {0: part(1, 2), 1: part(3)}))])
    store.write([], [("", 1, Saved("one", {"other": np.zeros(3)}))])
    store.write([], [("", 0, Saved("one", {"names": np.array(["e"])}, {1: part(4, 5)}))])

    state = store.state("", 0)

    assert state["length"].tolist() == [1, 2, 4, 5]
    for name, values in part(1, 2, 4, 5).items():
        np.testing.assert_array_equal(state[name], values)
        assert state[name].dtype == values.dtype
    assert state["names"].tolist() == ["e"]
    assert store.state("", 1)["other"].tolist() == [0.0, 0.0, 0.0]
    assert store.state("", 7) == {}


def test_a_state_counts_until_the_next_is_there_as_a_whole_and_leaves_nothing_then(
    store: Store,
) -> None:
    parts = {number: part(number) for number in range(3)}

    def lengths() -> object:
        return store.state("", 0)["length"].tolist()

    store.write([], [("", 0, Saved("given up", parts=parts))])
    assert store.state("", 0) == {}
    store.write([], [("", 0, Saved("one", {"clock": np.zeros(3)}, parts))])
    assert lengths() == [0, 1, 2]
    store.write([], [("", 0, Saved("one", parts={1: parts[0]}))])
    assert lengths() == [0, 0, 2]
    store.write([], [("", 0, Saved("two", parts={0: parts[2]}))])
    assert lengths() == [0, 0, 2]
    store.write([], [("", 0, Saved("two", {"owner": np.array(["b"])}))])

    state = store.state("", 0)
    assert sorted(state) == sorted(["complete", "owner", *part(1)])
    assert state["length"].tolist() == [2]
    for _ in range(2):  # a few at a time
        store.write([], [("", 0, Saved("two", parts={0: parts[2]}))])
    with store._database.reading() as connection:
        found = connection.execute(sa.text('SELECT "array", part FROM shards')).all()
    assert sorted(map(tuple, found)) == [("shard", 0), ("state", 0), ("two", 0)]


def test_a_state_is_complete_until_anything_more_is_saved_even_of_another(store: Store) -> None:
    arrays, one = {"clock": np.zeros(3)}, {0: part(1)}

    def complete() -> bool:
        return bool(store.state("", 0)["complete"][0])

    store.write([], [("", 0, Saved("one", arrays, one, complete=True))])
    store.write([], [("", 1, Saved("one", parts=one))])
    assert complete()
    store.write([], [("", 0, Saved("two", parts=one))])
    assert not complete()
    store.write([], [("", 0, Saved("two", arrays, complete=True))])
    assert complete()
    store.write([], [("", 0, Saved("two", arrays))])
    assert not complete()


def test_a_state_of_a_version_that_gave_it_no_name_goes_on(store: Store) -> None:
    state = Saved("streams", {"clock": np.zeros(3)}, {0: part(1)})
    store.write([], [("", 0, state)])
    with store._database.writing() as connection:
        connection.execute(sa.delete(tables.shards).where(tables.shards.c.array == "state"))

    found = store.state("", 0)

    assert (found["length"].tolist(), found["clock"].tolist()) == ([1], [0.0, 0.0, 0.0])


def test_what_is_not_in_use_is_not_stored() -> None:
    stored = compact(part(1, 9))

    assert stored["ring"].tolist() == [7] * 6
    assert stored["gaps"].shape == (3,)
    assert stored["tally"].tolist() == [1, 9]


def test_parts_that_an_earlier_version_saved_are_read(store: Store) -> None:
    store.write([], [("", 0, Saved("one", {"clock": np.zeros(3)}, {0: part(1, 2)}))])
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **part(3, 9))
    own = {"model_name": "", "shard": 0, "array": "one", "part": 1, "data": data.getvalue()}
    with store._database.writing() as connection:
        connection.execute(sa.insert(tables.shards), [own])

    state = store.state("", 0)

    for name, values in part(1, 2, 3, 9).items():
        np.testing.assert_array_equal(state[name], values)


@pytest.mark.parametrize("name", ["length", "ring", "tally_kinds", "tally_token"])
def test_damage_of_what_is_stored_is_told(store: Store, name: str) -> None:
    spoiled = compact(part(1, 2))
    spoiled[name] = np.concatenate([spoiled[name], np.full(1, 999, spoiled[name].dtype)])
    own = {"model_name": "", "shard": 0, "array": "one", "part": 1, "data": save(spoiled)}
    store.write([], [("", 0, Saved("one", {"clock": np.zeros(3)}))])
    with store._database.writing() as connection:
        connection.execute(sa.insert(tables.shards), [own])

    with pytest.raises(ModelError, match="damaged"):
        store.state("", 0)


@pytest.mark.parametrize("said", [True, False])
def test_what_an_earlier_version_said_to_be_complete_is_so_until_more_is_saved(
    store: Store, said: bool
) -> None:
    arrays = {"clock": np.zeros(3), "complete": np.array([said])}
    store.write([], [("", 0, Saved("streams", arrays, {0: part(1)}))])
    with store._database.writing() as connection:
        connection.execute(sa.delete(tables.shards).where(tables.shards.c.array == "state"))

    before = store.state("", 0)
    store.write([], [("", 0, Saved("one", parts={0: part(2)}))])
    after = store.state("", 0)

    assert (before["length"].tolist(), before["complete"].tolist()) == ([1], [said])
    assert (after["length"].tolist(), after["complete"].tolist()) == ([1], [False])
