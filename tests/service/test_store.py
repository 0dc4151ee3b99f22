"""What the store was told it still knows, and what fails it says in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offscript.model.errors import InputError, NotFoundError, StoreError
from offscript.model.vocabulary import NEW
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.tests.service.alerts import ALERT, other

on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def test_a_store_has_one_service_at_a_time(store: Store, url: str) -> None:
    second = Store(url)
    store.claim()
    with pytest.raises(
        StoreError, match=r"in use by another service; stop that one, or .* --store"
    ):
        second.claim()
    second.close()
    store.close()

    third = Store(url)
    third.claim()
    third.close()


def test_an_alert_comes_back_as_it_was(store: Store, url: str) -> None:
    store.write([ALERT])

    second = Store(url)
    again = second.alert("a1")
    second.close()

    assert repr(again.alert) == repr(ALERT)  # nan is not equal to itself
    with pytest.raises(NotFoundError, match="no alert 'a2'"):
        store.alert("a2")


def test_the_beginning_of_an_id_is_enough_where_it_names_one_alert(store: Store) -> None:
    store.write([other(11), other(12), other(2)])

    assert store.alert("a2").alert.stream == "s2"
    with pytest.raises(NotFoundError, match="several alerts begin with 'a1'"):
        store.alert("a1")
    for stranger in ("", "%", "a3"):
        with pytest.raises(NotFoundError, match="no alert"):
            store.alert(stranger)


def test_what_unknown_events_explain_is_no_repeat_of_what_they_do_not(store: Store) -> None:
    unknown = {"tokens": (4, NEW, 5), "span": 2}
    (first,) = store.write([replace(ALERT, detector="drift", span=2)])
    both = store.write(
        [
            replace(ALERT, id="a2", detector="drift", **unknown),  # type: ignore[arg-type]
            replace(ALERT, id="a3", detector="drift", span=2),
            replace(ALERT, id="a4", detector="drift", **unknown),  # type: ignore[arg-type]
        ]
    )
    told = [(one.unknown, one.observed, one.count) for one in store.incidents()]

    assert first.alert.id == "a1"
    assert [stored.alert.id for stored in both] == ["a2", "a1", "a2"]
    assert sorted(told) == [(False, "x", 2), (True, "<new>", 2)]


def test_the_same_cause_again_makes_the_count_grow(store: Store) -> None:
    store.write([ALERT, replace(ALERT, id="a2", time=150.0, first_seen=150.0, last_seen=150.0)])
    (stored,) = store.write([replace(ALERT, id="a3", time=90.0, first_seen=90.0, last_seen=90.0)])

    assert stored.alert.id == "a1"
    assert (stored.alert.count, stored.alert.first_seen, stored.alert.last_seen) == (
        3,
        100.0,
        150.0,
    )
    assert [s.alert.count for s in store.alerts(Filter(), limit=9)] == [3]


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "other"},
        {"detector": "new"},
        {"observed": "z"},
        {"model": "m2"},
        {"time": 100.0 + 3601.0, "last_seen": 100.0 + 3601.0},
    ],
)
def test_another_cause_is_another_alert(store: Store, changes: dict[str, object]) -> None:
    store.write([ALERT])
    store.write([replace(ALERT, id="a2", **changes)])  # type: ignore[arg-type] # fields of it

    assert {s.alert.id for s in store.alerts(Filter(), limit=9)} == {"a1", "a2"}


def test_alerts_are_listed_newest_first_and_by_filter(store: Store) -> None:
    store.write(
        [other(n, last_seen=100.0 + n, detector="end" if n == 2 else "event") for n in range(4)]
    )
    store.record("a1", "normal", "", "")

    def listed(which: Filter, **page: int) -> list[str]:
        return [s.alert.id for s in store.alerts(which, **{"limit": 9, **page})]

    assert listed(Filter()) == ["a3", "a2", "a1", "a0"]
    assert listed(Filter(), limit=2) == ["a3", "a2"]
    assert listed(Filter(), before=store.alert("a2").row) == ["a1", "a0"]
    assert listed(Filter(stream="s3")) == ["a3"]
    assert listed(Filter(detector="end")) == ["a2"]
    assert listed(Filter(since=102.0)) == ["a3", "a2"]
    assert listed(Filter(status="open")) == ["a3", "a2", "a0"]
    assert listed(Filter(status="normal")) == ["a1"]


def test_every_change_has_a_later_revision(store: Store) -> None:
    store.write([other(1), other(2)])
    seen = store.revision
    store.record("a1", "anomalous", "", "")
    store.write([other(2), other(3)])

    changed = store.changes(Filter(), after=seen, limit=9)

    assert [s.alert.id for s in changed] == ["a1", "a2", "a3"]
    assert changed[-1].revision == store.revision


def test_feedback_is_kept_in_order_and_the_last_counts(store: Store) -> None:
    store.write([ALERT])
    store.record("a1", "normal", "a release", "ann")
    stored, _ = store.record("a1", "anomalous", "no, it was not", "bob")

    assert [(f.verdict, f.comment, f.by) for f in stored.feedback] == [
        ("normal", "a release", "ann"),
        ("anomalous", "no, it was not", "bob"),
    ]
    assert store.alerts(Filter(status="normal"), limit=9) == []
    with pytest.raises(NotFoundError):
        store.record("a2", "normal", "", "")


def test_a_model_is_kept_once(store: Store) -> None:
    store.keep_model("m1", {"config.json": b"{}", "weights": b"\0\1"})
    store.keep_model("m1", {"config.json": b"changed"})

    assert store.model_files("m1") == {"config.json": b"{}", "weights": b"\0\1"}
    with pytest.raises(NotFoundError):
        store.model_files("m2")


@on_sqlite
def test_the_file_is_for_its_owner_only(store: Store, tmp_path: Path) -> None:
    store.write([ALERT])

    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


@pytest.mark.parametrize("url", ["", "alerts.db", "sqlite://", "sqlite:///:memory:", "mysql://h/d"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="expected an alert store like sqlite:///"):
        Store(url)


def test_what_keeps_a_store_from_opening_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(
        "this is no database, but it is long enough to be looked at\n" * 50
    )

    for name, said in (
        ("text", "not a database"),
        ("missing/alerts.db", "No such file or directory"),
    ):
        with pytest.raises(StoreError, match=said) as caught:
            Store(f"sqlite:///{tmp_path}/{name}")
        assert "\n" not in str(caught.value)


@on_sqlite
def test_a_full_disk_loses_nothing_that_was_written(store: Store, url: str) -> None:
    store.write([ALERT])
    limit_pages(store, 0)
    with pytest.raises(StoreError, match="make room"):
        store.write([other(n) for n in range(2, 2000)])

    assert [s.alert.id for s in Store(url).alerts(Filter(), limit=9)] == ["a1"]
    assert store.revision == 1


def limit_pages(store: Store, more: int) -> None:
    """Let the store's database grow by so many pages only, as on a full disk."""
    with store._database.reading() as connection:
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")


def test_what_the_driver_refuses_is_said_in_one_line(store: Store) -> None:
    with store._database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE alerts RENAME TO elsewhere")

    with pytest.raises(StoreError, match="alert store .*alerts"):
        store.write([ALERT])
