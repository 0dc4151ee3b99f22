"""A disk that is really full: what is not stored is not acknowledged, and is not lost."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.service.client import Client
from offscript.service.config import ServiceConfig

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Lines = Callable[..., list[str]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB; only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail(made.stderr)
        pytest.skip(f"cannot mount a file system: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_alerts_wait_for_room_on_the_disk(
    small_disk: Path,
    config: ServiceConfig,
    in_process: Callable[[ServiceConfig], Running],
    session: Lines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    acknowledged: set[str] = set()
    store = f"sqlite:///{small_disk}/alerts.db"
    with (
        in_process(replace(config, store=store, spool_bytes=1 << 20)) as service,
        Client(
            service.address,
            acknowledged=lambda reply: acknowledged.update(a.stream for a in reply.alerts),
        ) as client,
    ):
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for n in range(200):
            for line in session(f"{n:04x}", odd=True):
                client.line(line)

        arrived = client.flush(8)
        page = urllib.request.urlopen(f"{service.web}/metrics").read().decode()
        before = set(acknowledged)
        filler.unlink()
        assert client.flush(60)
        stored = {alert.stream for alert in client.alerts()}

    assert not arrived
    assert "offscript_store_up 0.0" in page
    assert len(before) < 200
    assert "make room on that disk" in caplog.text
    assert {f"{n:04x}" for n in range(200)} <= stored
