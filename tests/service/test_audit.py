"""Who did what is on record, by the token and not by what the caller says."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.model.errors import InputError, ModelError, NotFoundError, ScopeError
from offscript.model.folder import load_model
from offscript.protos import detector_pb2 as pb
from offscript.service import sqlite
from offscript.service.audit import Deed
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.credentials import Credentials
from offscript.service.store import Store
from offscript.service.suppression import Wish
from offscript.service.tokens import Scope, add_token
from offscript.tests.service.alerts import ALERT
from offscript.tests.service.engines import Service
from offscript.tests.service.schemas import leave_as
from offscript.tests.service.test_renew import renew
from offscript.tests.service.versions import saved

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess

Lines = Callable[..., list[str]]


def told(store: Store) -> list[tuple[str, str, str]]:
    return [(deed.who, deed.action, deed.what) for deed in store.deeds(limit=99)]


def test_verdict_suppression_and_revocation_are_on_the_trail_newest_first(store: Store) -> None:
    store.write([ALERT])
    wish = Wish(everywhere=True, seconds=86_400.0)
    _, quiet = store.record("a1", "normal", "a comment", "bob", wish, who="ann")
    assert quiet is not None
    for _ in range(2):  # what is over is not ended again
        store.revoke(quiet.id, who="eve")
    with pytest.raises(NotFoundError):
        store.record("a2", "normal", "", "", who="ann")

    assert told(store) == [
        ("eve", "revocation", f"of suppression {quiet.id}"),
        ("ann", "suppression", f"{quiet.id} of alert a1, everywhere for 1 days"),
        ("ann", "verdict", "alert a1 is normal, says bob"),
    ]
    assert "comment" not in repr(told(store))


def test_the_trail_is_read_in_pages_and_since_a_time(store: Store) -> None:
    for number in range(5):
        store.write((), deeds=[Deed(time.time(), "ann", "reload", str(number))])
    begin = time.time()
    store.write((), deeds=[Deed(time.time(), "ann", "reload", "a\0b")])

    first = store.deeds(limit=2)
    rest = store.deeds(limit=9, before=first[-1].row)
    assert [deed.what for deed in (*first, *rest)] == ["a\N{REPLACEMENT CHARACTER}b", *"43210"]
    assert [deed.what for deed in store.deeds(since=begin, limit=9)] == [first[0].what]


def test_deeds_are_deleted_when_they_are_old_and_alerts_are_not_asked(store: Store) -> None:
    store.write([ALERT])
    store.record("a1", "anomalous", "", "", who="ann")
    store.forget(before=math.inf, most=0)
    store.forget_deeds(before=time.time() - 60.0)
    assert len(told(store)) == 1

    store.forget_deeds(before=time.time() + 1.0)
    assert told(store) == []
    assert store.alert("a1").feedback


def test_a_store_of_schema_3_gets_a_trail(store: Store, url: str) -> None:
    store.write([ALERT])
    leave_as(store, 3)

    second = Store(url)
    second.record("a1", "normal", "", "")
    assert told(second) == [("local", "verdict", "alert a1 is normal")]
    second.close()
    third = Store(url)  # and is up to date from then on
    assert len(told(third)) == 1
    third.close()


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "tokens"
    return {name: add_token(file, name, [name]) for name in (Scope.SEND, Scope.READ, Scope.ADMIN)}


@pytest.fixture
def clients(
    config: ServiceConfig, tokens: dict[str, str], in_process: InProcess, tmp_path: Path
) -> Iterator[dict[str, Client]]:
    """A client with each scope; the tokens are named as their scopes."""
    with in_process(replace(config, tokens=tmp_path / "tokens")) as running:
        clients = {
            name: Client(running.address, credentials=Credentials(token=secret))
            for name, secret in tokens.items()
        }
        yield clients
        for client in clients.values():
            client.close()


def test_who_is_the_token_whatever_the_caller_says(
    clients: dict[str, Client],
    tokens: dict[str, str],
    session: Lines,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    admin, alert = clients["admin"], next(raised(clients, session))
    admin.feedback(alert.id, "normal", by="somebody", suppress=pb.Wish(seconds=60))
    other = saved(load_model(tiny_model), tmp_path / "b", version=2)
    admin.reload(tmp_path / "b")
    with pytest.raises(ModelError):
        admin.reload(tmp_path / "none")

    deeds = list(admin.deeds())

    assert {deed.who for deed in deeds} == {"admin"}
    assert [deed.action for deed in deeds] == ["reload", "reload", "suppression", "verdict"]
    assert f"{tmp_path}/none is not taken, {other.sha256[:12]} goes on" in deeds[0].what
    assert f"serving {tmp_path}/b, model {other.sha256[:12]} in place of" in deeds[1].what
    assert "says somebody" in deeds[3].what
    assert not any(secret in str(deeds) for secret in tokens.values())
    assert list(admin.deeds(since=time.time() + 60)) == []
    for name in ("send", "read"):
        with pytest.raises(ScopeError, match="ListDeeds needs a token with the scope admin"):
            list(clients[name].deeds())


def raised(clients: dict[str, Client], session: Lines) -> Iterator[pb.Alert]:
    clients["send"].score_once(pb.EventBatch(lines=session("0b", odd=True)))
    return clients["read"].alerts()


def test_without_tokens_and_at_a_hangup_it_was_somebody_here(
    config: ServiceConfig, tokens: dict[str, str], in_process: InProcess, tmp_path: Path
) -> None:
    assert tokens
    model, path = load_model(config.models[""]), tmp_path / "model"
    saved(model, path, version=1)
    with (
        in_process(replace(config, models={"": path})) as running,
        Client(running.address) as client,
    ):
        saved(model, path, version=2)
        client.reload()
        saved(model, path, version=3)
        renew(running)
        deeds = list(client.deeds())
    with in_process(replace(config, tokens=tmp_path / "tokens")) as running:
        renew(running)
        assert told(running.server._store)[0] == ("local", "token file", "read again at a hangup")

    assert [(deed.who, deed.action) for deed in deeds] == [("local", "reload")] * 2


def test_a_trail_that_keeps_nothing_is_refused(config: ServiceConfig) -> None:
    with pytest.raises(InputError, match="keep_audit_days is 0.0; it must be more than 0"):
        replace(config, keep_audit_days=0.0)


def test_what_is_done_while_the_store_fails_is_on_the_trail_later(
    config: ServiceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_MILLISECONDS", 50)
    service = Service(load_model(config.models[""]), config)
    engine = service.engine()
    with closing(sqlite3.connect(config.store.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        engine.note(Deed(1.0, "ann", "reload", "a model"))
        before = told(service.store)
    deadline = time.monotonic() + 30
    while not told(service.store) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert before == []
    assert [(deed.time, deed.who) for deed in service.store.deeds(limit=9)] == [(1.0, "ann")]
    service.stop()
