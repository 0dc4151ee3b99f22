"""What came after an alert is told from what its stream still holds, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from offscript.model.alert import Alert
from offscript.model.vocabulary import END, START
from offscript.service.sequel import sequel
from offscript.tests.service.engines import Service, raw
from offscript.tests.service.versions import renumbered

Lines = Callable[..., list[str]]


def alert(tokens: tuple[int, ...], position: int) -> Alert:
    return cast(Alert, SimpleNamespace(tokens=tokens, position=position))


@pytest.mark.parametrize(
    ("tokens", "position", "length", "kept", "came"),
    [
        ((START, 5, 6), 2, 5, (START, 5, 6, 7, 8), (7, 8)),
        ((START, 5, 6), 2, 5, (6, 7, 8), (7, 8)),  # the ring holds no more
        ((4, 5, 6), 9, 11, (3, 4, 5, 6, 7), (7,)),
        ((START, 5, 6), 2, 3, (START, 5, 6), ()),  # nothing came
        ((START, 5, 6), 2, 9, (7, 8, 9), ()),  # what came right after is gone
        ((START, 5, 6), 2, 5, (START, 9, 6, 7, 8), ()),  # another stream of the same name
        ((START, 5, END), 1, 5, (START, 5, 6, 7, 8), ()),
        ((START, 5, 6), 2, 0, (), ()),
    ],
)
def test_later_events_are_those_after_the_alerts_own(
    tokens: tuple[int, ...], position: int, length: int, kept: tuple[int, ...], came: object
) -> None:
    assert sequel(alert(tokens, position), length, kept) == came


def test_a_stream_is_looked_at_though_there_is_always_more_to_score(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.service.shard._PAUSE_SECONDS", 30.0)
    engine = service.engine(threads=1)
    alert = engine.submit(raw(session("0b", odd=True))).result(30).alerts[0]
    (shard,) = engine.of()._shards
    with monkeypatch.context() as patched:
        patched.setattr(shard, "_score", shard._parts.extend)
        future = engine.submit(raw(session("0c")))
        while not shard._parts:
            pass

        length, kept = shard.recent(alert.alert.stream, service.model.sha256)

    assert length == len(kept) > 1
    assert future.result(30).surprisal is not None


def test_what_another_model_keeps_of_a_stream_is_not_told(service: Service, session: Lines) -> None:
    engine = service.engine(threads=1)
    alert = engine.submit(raw(session("0b", odd=True))).result(30).alerts[0]
    (shard,) = engine.of()._shards
    engine.of().change(replace(renumbered(service.model), sha256="b")).result(30)

    assert shard.recent(alert.alert.stream, "b")[0] > 1
    assert shard.recent(alert.alert.stream, service.model.sha256) == (0, ())
    assert engine.of().sequel(alert.alert) == ()
