"""A watched model is served as soon as all of it is there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from offscript.model.errors import StoreError
from offscript.model.folder import load_model
from offscript.service import watch as watch_module
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.tests.service.receivers import until
from offscript.tests.service.test_reload import reloads
from offscript.tests.service.versions import saved

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess


def test_a_watched_folder_or_link_is_served_once_it_is_whole(
    tiny_model: Path,
    config: ServiceConfig,
    in_process: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "_SECONDS", 0.1)
    model, current = load_model(tiny_model), tmp_path / "current"
    saved(model, tmp_path / "a", version=1)
    other = saved(model, tmp_path / "b", version=2)
    current.symlink_to("a")
    with (
        in_process(replace(config, models={"": current}, watch_model=True)) as running,
        Client(running.address) as client,
    ):
        current.unlink()
        time.sleep(0.3)  # nothing is there, which is no reason to complain
        current.symlink_to("b")
        until(lambda: client.describe().sha256 == other.sha256, 60.0)
        newest = saved(model, tmp_path / "b", version=3)  # in its place
        until(lambda: client.describe().sha256 == newest.sha256, 60.0)
        until(lambda: reloads(running)["loaded"] == 2)  # it is counted after it is served
        assert reloads(running) == {"loaded": 2, "unchanged": 0, "refused": 0}


def test_a_model_that_came_while_the_service_started_is_told_until_it_is_taken(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_SECONDS", 0.01)
    path, told = tmp_path / "model", asyncio.Event()
    saved(load_model(tiny_model), path)
    at_the_start = watch_module.look(path)
    saved(load_model(tiny_model), path, version=1)
    answers = [False, False, True]  # the store fails twice
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "watching":  # not that of another test's service
            pauses.append(seconds)
        await sleep(seconds)

    async def changed(again: bool) -> bool:
        assert again == (len(answers) < 3)
        answer = answers.pop(0)
        if answer:
            told.set()
        return answer

    async def watched() -> None:
        watching = watch_module.watch(path, at_the_start, changed)
        task = asyncio.create_task(watching, name="watching")
        await asyncio.wait_for(told.wait(), 60)
        await sleep(0.1)  # once is enough
        assert not task.done()
        task.cancel()

    monkeypatch.setattr(asyncio, "sleep", slept)
    asyncio.run(watched())
    assert answers == []
    assert pauses[:5] == [0.01, 0.01, 0.02, 0.04, 0.01]  # longer where it was in vain


def test_a_store_that_is_away_is_told_once_until_that_changes(
    tiny_model: Path,
    config: ServiceConfig,
    in_process: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch_module, "_SECONDS", 0.05)
    path, said = tmp_path / "model", "the disk is full"
    saved(load_model(tiny_model), path)

    def writing(**_: bool) -> NoReturn:
        raise StoreError(said)

    with (
        in_process(replace(config, models={"": path}, watch_model=True)) as running,
        monkeypatch.context() as away,
    ):
        away.setattr(running.server._store._database, "writing", writing)
        saved(load_model(tiny_model), path, version=1)
        until(lambda: reloads(running)["refused"] >= 3, 60.0)
        assert caplog.text.count("is not taken") == 1
        said = "the disk is gone"
        until(lambda: caplog.text.count("is not taken") == 2, 60.0)
    told = [entry.getMessage() for entry in caplog.records if "is not taken" in entry.message]
    assert [line.rpartition(": ")[2] for line in told] == ["the disk is full", "the disk is gone"]
