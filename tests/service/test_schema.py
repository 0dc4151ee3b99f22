"""A store that an earlier version left is brought up to date, as a whole; one of a later is not."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from offscript.model.errors import StoreError
from offscript.service import tables
from offscript.service.arrays import Saved
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.service.suppression import Wish
from offscript.tests.service.alerts import ALERT, of_unknown, other
from offscript.tests.service.schemas import leave_as
from offscript.tests.service.states import part


def differences(store: Store) -> list[object]:
    """Between the tables of a store and those that tables.py describes."""
    with store._database.reading() as connection:
        found: list[object] = compare_metadata(
            MigrationContext.configure(connection), tables.metadata
        )
    return found


@pytest.mark.parametrize("schema", range(1, 9))
def test_the_revisions_end_at_the_tables_that_a_new_store_has(
    store: Store, url: str, schema: int
) -> None:
    store.write([ALERT])
    assert differences(store) == []
    leave_as(store, schema)

    second = Store(url)

    assert differences(second) == []
    assert repr(second.alert("a1").alert) == repr(ALERT)  # nan is not equal to itself
    second.close()


def test_a_store_of_schema_4_goes_on_as_that_of_a_model_without_a_name(
    store: Store, url: str
) -> None:
    state = Saved("one", {"owner": np.array(["m 0/1"])}, {3: part(1, 1)})
    store.write([ALERT], [("", 0, state)])
    store.record("a1", "normal", "", "", Wish(everywhere=True, seconds=60.0))
    leave_as(store, 4)

    for _ in range(2):  # the second time it is up to date
        second = Store(url)
        assert second.states() == {""}
        assert second.state("", 0)["length"].tolist() == [1, 1]
        assert second.state("", 0)["owner"].tolist() == ["m 0/1"]
        second.write([other(2), other(3, model_name="b")])
        second.close()
    third = Store(url)
    found = {s.alert.id: (s.alert.model_name, s.status) for s in third.alerts(Filter(), limit=9)}
    quiet = third.alerts(Filter(status="suppressed"), limit=9)
    third.close()

    assert found == {"a1": ("", "normal"), "a3": ("b", "open")}
    assert [(stored.alert.id, stored.alert.count) for stored in quiet] == [("a2", 2)]


def test_an_upgrade_that_is_cut_short_is_made_as_a_whole_later(store: Store, url: str) -> None:
    store.write([ALERT])
    leave_as(store, 4)

    def dies(_: object, __: object, statement: str, *___: object) -> None:
        if statement.strip() == "DROP TABLE states":
            raise KeyboardInterrupt

    sa.event.listen(sa.Engine, "before_cursor_execute", dies)
    with pytest.raises(KeyboardInterrupt):
        Store(url)
    sa.event.remove(sa.Engine, "before_cursor_execute", dies)
    second = Store(url)

    assert [stored.alert.id for stored in second.alerts(Filter(), limit=9)] == ["a1"]
    second.close()


def test_a_store_that_an_earlier_version_uses_is_left_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    leave_as(Store(url), 4)
    with (tmp_path / "old.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as it does
        with pytest.raises(StoreError, match="in use by another service"):
            Store(url)
        with closing(sqlite3.connect(tmp_path / "old.db")) as old:
            assert old.execute("SELECT count(*) FROM states").fetchone() == (0,)
    store = Store(url)
    store.claim()
    assert store.states() == set()
    store.close()


def test_a_later_schema_is_refused_in_one_line(store: Store, url: str) -> None:
    with store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '99'")

    with pytest.raises(StoreError, match="has schema 99, this version reads schema 9") as caught:
        Store(url)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "column"), [("alembic_version", "version_num"), ("alerts", "row")]
)
def test_tables_of_another_program_are_left_as_they_are(
    tmp_path: Path, table: str, column: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other_one:
        other_one.execute(f"CREATE TABLE {table} ({column} TEXT)")
        other_one.execute(f"INSERT INTO {table} VALUES (99)")
        other_one.commit()

        with pytest.raises(StoreError, match="has schema (99|none), this version reads"):
            Store(f"sqlite:///{tmp_path / 'other.db'}")

        names = other_one.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [(table,)]


def test_versions_that_know_nothing_of_revisions_refuse_the_store(store: Store) -> None:
    with store._database.reading() as connection:
        said = connection.exec_driver_sql("SELECT value FROM meta WHERE key = 'schema'").scalar()

    assert said not in (None, *"12345")


def test_what_was_said_is_known_after_the_upgrade_from_schema_5(store: Store, url: str) -> None:
    store.write([other(1), other(2), other(3)])
    store.record("a1", "normal", "", "")
    store.record("a2", "anomalous", "", "")
    leave_as(store, 5)

    second = Store(url)
    for number in (1, 2, 3):
        second.record(f"a{number}", "resolved", "", "")

    said = {name: second.alerts(Filter(status=name), limit=9) for name in ("normal", "anomalous")}
    assert {name: [one.alert.id for one in found] for name, found in said.items()} == {
        "normal": ["a1"],
        "anomalous": ["a2"],
    }
    second.close()


def test_what_unknown_events_explain_is_one_incident_after_the_upgrade_from_schema_7(
    store: Store, url: str
) -> None:
    store.write([*of_unknown(1), other(2), *of_unknown(3)])
    leave_as(store, 7)

    second = Store(url)

    assert [(one.observed, one.alerts) for one in second.incidents()] == [("x", 1), ("<new>", 8)]
    second.close()


def test_a_suppression_of_schema_8_holds_for_its_kind(store: Store, url: str) -> None:
    store.write([other(1)])
    wish = Wish(everywhere=True, seconds=60.0, evidence=("p",))
    store.record("a1", "normal", "", "", wish)
    leave_as(store, 8)

    second = Store(url)
    (stored,) = second.write([other(2)], grounds=lambda _: ["q"])

    assert [one.evidence for one in second.suppressions()] == [()]
    assert stored.status == "suppressed"
    second.close()


def test_a_store_of_schema_2_learns_of_mechanisms(store: Store, url: str) -> None:
    store.write([other(number) for number in range(1500)])
    leave_as(store, 2)

    second = Store(url)

    assert len(second.similar(second.alert("a1499").alert, limit=2000)) == 1499
    second.close()
