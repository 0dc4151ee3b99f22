"""The Node.js example runs against a real service, from the .proto file alone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from offscript.service.config import ServiceConfig
from offscript.service.server import Server
from offscript.service.tokens import Scope, add_token
from offscript.tests.npm import install
from offscript.tests.service.certificates import Authority

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples/node"


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config) -> Path:
    """A copy of the example with its packages, installed once for a lock file."""
    assert pytestconfig.cache is not None
    copy = pytestconfig.cache.mkdir("node-example") / "examples/node"
    install(EXAMPLE, copy)
    shutil.copy(EXAMPLE / "client.js", copy)
    protos = copy.parent.parent / "protos"
    protos.mkdir(exist_ok=True)
    shutil.copy(ROOT / "protos/detector.proto", protos)
    return copy


@pytest.fixture
def config(tiny_model: Path, tmp_path: Path) -> ServiceConfig:
    """Of a service of the tiny model."""
    return ServiceConfig(
        models={"": tiny_model},
        grpc="127.0.0.1:0",
        http="127.0.0.1:0",
        store=f"sqlite:///{tmp_path}/alerts.db",
    )


@pytest.fixture
def address(config: ServiceConfig) -> Iterator[str]:
    with serving(config) as found:
        yield found


@contextmanager
def serving(config: ServiceConfig) -> Iterator[str]:
    """The address of a service."""
    server = Server(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
    try:
        yield f"127.0.0.1:{server.grpc_port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run(
    installed: Path, log: Path, address: str, *options: str, token: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "client.js", *options, str(log), address],
        cwd=installed,
        env={**os.environ, "OFFSCRIPT_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_sends_a_log_and_prints_why_an_alert_was_raised(
    installed: Path, address: str, tmp_path: Path, tiny_log: Path
) -> None:
    log = tmp_path / "app.log"
    odd = "2026-03-02 12:00:00.000 session=0dd kernel: firmware replaced\n"
    log.write_text(tiny_log.read_text() + odd)

    finished = run(installed, log, address)

    assert finished.returncode == 0, finished.stderr
    summary = re.match(r"(\d+) events, (\d+) alerts\n", finished.stdout)
    assert summary is not None
    assert int(summary[1]) > 1000
    assert int(summary[2]) >= 1
    assert "Expected" in finished.stdout
    assert "The parts add up within" in finished.stdout


def test_a_service_that_is_away_is_one_line(installed: Path, tiny_log: Path) -> None:
    finished = run(installed, tiny_log, "127.0.0.1:1")

    assert finished.returncode == 1
    assert finished.stderr.startswith("offscript: ")
    assert finished.stderr.count("\n") == 1


def test_it_speaks_tls_and_shows_its_token(
    installed: Path, config: ServiceConfig, tmp_path: Path, tiny_log: Path
) -> None:
    authority = Authority(tmp_path, "authority")
    cert, key = authority.issue("service")
    tokens = tmp_path / "tokens"
    token = add_token(tokens, "node", [Scope.SEND, Scope.READ])
    ca = ("--ca", str(authority.cert))

    with serving(replace(config, tls_cert=cert, tls_key=key, tokens=tokens)) as address:
        sent = run(installed, tiny_log, address, *ca, token=token)
        unknown = run(installed, tiny_log, address, *ca, token="made-up")
        plain = run(installed, tiny_log, address, token=token)

    assert sent.returncode == 0, sent.stderr
    assert re.match(r"\d+ events, \d+ alerts\n", sent.stdout)
    assert unknown.returncode == plain.returncode == 1
    assert "token" in unknown.stderr
    for finished in (unknown, plain):  # Node itself warns of certificates for addresses
        ours = [line for line in finished.stderr.splitlines() if "offscript" in line]
        assert len(ours) == 1, finished.stderr


@pytest.mark.parametrize(
    ("options", "address", "said"),
    [
        (["--ca", "missing.pem"], "127.0.0.1:1", "cannot read the authority missing.pem"),
        ([], "logs.example:50051", "unencrypted; give its authority with --ca"),
        (["--tls"], "127.0.0.1:1", "--tls"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_sent(
    installed: Path, tiny_log: Path, options: list[str], address: str, said: str
) -> None:
    finished = run(installed, tiny_log, address, *options, token="secret")

    assert finished.returncode == 2
    assert said in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert "secret" not in finished.stderr


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((EXAMPLE / "package-lock.json").read_text())["packages"]

    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)
