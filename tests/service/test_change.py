"""Another model between two batches of an engine: streams go on, and what was said of batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offscript.model.detector import Detector
from offscript.model.errors import OverloadError
from offscript.service.carry import Carried
from offscript.tests.service.engines import Service, raw, sessions
from offscript.tests.service.versions import renumbered

Lines = Callable[..., list[str]]


def test_open_streams_go_on_across_a_change_of_the_vocabulary(
    service: Service, session: Lines, tmp_path: Path
) -> None:
    lines = sessions(session, 40)
    lines.sort(key=lambda line: line[:23])  # all sessions at once, so that all are open halfway
    through = Service(service.model, replace(service.config, store=f"sqlite:///{tmp_path}/one.db"))
    whole = through.engine(threads=2).submit(raw(lines)).result(30)
    engine = service.engine(threads=2)
    before = engine.submit(raw(lines[:83], client="me", seq=1)).result(30)

    assert engine.of().change(replace(renumbered(service.model), sha256="b")).result(30) == Carried(
        40, 0
    )
    repeated = engine.submit(raw(lines[:83], client="me", seq=1)).result(30)
    after = engine.submit(raw(lines[83:], client="me", seq=2)).result(30)

    assert repeated.repeated
    assert service.alerts() == through.alerts() != []
    scores: list[Any] = [outcome.surprisal for outcome in (before, after, whole)]
    assert np.concatenate(scores[:2]) == pytest.approx(scores[2], abs=1e-5)
    through.stop()


def test_a_batch_accepted_before_a_change_is_scored_by_the_model_that_was(
    service: Service, session: Lines
) -> None:
    engine = service.engine(threads=2)
    other = replace(renumbered(service.model), sha256="b")
    futures: list[Future[Any]] = []
    for n in range(30):
        futures.append(engine.submit(raw(session(f"{n:02x}", odd=True))))
        if n == 14:
            change = engine.of().change(other)
    raised = [{stored.alert.model for stored in f.result(30).alerts} for f in futures]

    assert change.result(30).streams == 15
    assert raised == [{service.model.sha256}] * 15 + [{"b"}] * 15


def test_a_change_that_fails_in_one_shard_changes_none(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = sessions(session, 10)
    lines.sort(key=lambda line: line[:23])
    through = Service(service.model, replace(service.config, store=f"sqlite:///{tmp_path}/one.db"))
    through.engine(threads=2).submit(raw(lines)).result(30)
    engine = service.engine(threads=2)
    engine.submit(raw(lines[:25])).result(30)
    shards = engine.of()._shards

    def fails(_: Detector) -> None:
        raise MemoryError

    monkeypatch.setattr(shards[1], "hand_over", fails)
    with pytest.raises(MemoryError):
        engine.of().change(replace(renumbered(service.model), sha256="b")).result(30)

    assert {shard._model.sha256 for shard in shards} == {engine.of().model.sha256}
    assert engine.of().model is service.model
    assert engine.submit(raw(session("ff"))).result(30).alerts == ()
    engine.submit(raw(lines[25:])).result(30)
    assert service.alerts() == through.alerts() != []
    through.stop()


def test_after_a_change_the_streams_are_saved_for_the_new_model(
    service: Service, session: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    first = service.engine()
    first.submit(raw(session("0a")[:3], client="me", seq=1)).result(30)
    service.model = replace(renumbered(service.model), sha256="b")
    first.of().change(service.model).result(30)
    first.stop()
    with pytest.raises(OverloadError, match="not ready"):
        first.of().change(service.model)

    second = service.engine()
    assert second.submit(raw(session("0a")[:3], client="me", seq=1)).result(30).repeated
    assert second.submit(raw(session("0a")[3:], client="me", seq=2)).result(30).alerts == ()
    assert "afresh" not in caplog.text


def test_a_service_that_is_killed_right_after_a_change_has_saved_its_streams(
    service: Service, session: Lines
) -> None:
    engine = service.engine(checkpoint_seconds=3600.0)
    engine.submit(raw(session("0a")[:3], client="me", seq=1)).result(30)
    engine.of().change(replace(renumbered(service.model), sha256="b")).result(30)

    deadline = time.monotonic() + 30.0
    while service.store.state("", 0).get("owner", np.zeros(0)).tolist() != ["b 0/1"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
