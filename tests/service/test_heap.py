"""Memory of models that are served no more is the system's again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from offscript.model.folder import load_model
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.tests.service.receivers import until
from offscript.tests.service.versions import saved

if TYPE_CHECKING:
    from offscript.tests.service.conftest import OwnProcess


def test_reloads_leave_nothing_of_the_models_before(
    tiny_model: Path,
    config: ServiceConfig,
    own_process: OwnProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)  # as scripts/test sets it
    paths, model = [tmp_path / "a", tmp_path / "b"], load_model(tiny_model)
    for version, path in enumerate(paths):
        saved(model, path, version=version)
    service = own_process(replace(config, models={"": paths[0]}))
    memory = psutil.Process(service.process.pid).memory_info
    before = memory().rss
    with Client(service.address) as client:
        for n in range(1, 7):
            client.reload(paths[n % 2])

    # Some of it is that of threads which a first reload begins; two models would be 250 MB.
    until(lambda: memory().rss - before < 100e6)
