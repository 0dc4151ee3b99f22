"""A watched model is served as soon as all of it is there."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.model.folder import load_model
from offscript.service import watch as watch_module
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
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
        in_process(replace(config, model=current, watch_model=True)) as running,
        Client(running.address) as client,
    ):
        current.unlink()
        time.sleep(0.3)  # nothing is there, which is no reason to complain
        current.symlink_to("b")
        deadline = time.monotonic() + 20
        while client.describe().sha256 != other.sha256 and time.monotonic() < deadline:
            time.sleep(0.05)
        newest = saved(model, tmp_path / "b", version=3)  # in its place
        while client.describe().sha256 != newest.sha256 and time.monotonic() < deadline:
            time.sleep(0.05)

        assert client.describe().sha256 == newest.sha256
        assert reloads(running) == {"loaded": 2, "unchanged": 0, "refused": 0}
