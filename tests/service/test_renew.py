"""At a hangup model, tokens and certificate are read again; calls that are open go on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1

from offscript.model.errors import OverloadError, TokenError
from offscript.model.folder import load_model
from offscript.protos import detector_pb2 as pb
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.credentials import Credentials
from offscript.service.tokens import add_token
from offscript.tests.service.certificates import Authority
from offscript.tests.service.receivers import until
from offscript.tests.service.test_reload import reloads
from offscript.tests.service.test_tls import get
from offscript.tests.service.versions import saved

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, OwnProcess, Running, ServiceProcess

Lines = Callable[..., list[str]]


@pytest.fixture
def secure(config: ServiceConfig, authority: Authority, tmp_path: Path) -> ServiceConfig:
    """With a certificate and tokens of its own, and a model behind a link."""
    cert, key = authority.issue("renewed")
    for file, name in ((cert, "cert.pem"), (key, "key.pem")):
        shutil.copy(file, tmp_path / name)
    saved(load_model(config.models[""]), tmp_path / "a", version=1)
    saved(load_model(config.models[""]), tmp_path / "b", version=2)
    (tmp_path / "current").symlink_to("a")
    return replace(
        config,
        models={"": tmp_path / "current"},
        tls_cert=tmp_path / "cert.pem",
        tls_key=tmp_path / "key.pem",
        tokens=tmp_path / "tokens",
    )


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "other")


def put(pair: tuple[Path, Path], folder: Path) -> None:
    """A renewed certificate and its key in the place of the ones before."""
    for file, name in zip(pair, ("cert.pem", "key.pem"), strict=True):
        shutil.copy(file, folder / name)


def said(service: ServiceProcess, line: str) -> None:
    """Wait until the service has said it."""
    until(lambda: any(line in each for each in service.said), 60.0)


def test_model_tokens_and_certificate_are_read_again(
    secure: ServiceConfig,
    own_process: OwnProcess,
    authority: Authority,
    other: Authority,
    session: Lines,
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens"
    old = Credentials(ca=authority.cert, token=add_token(tokens, "old", ["admin"]))
    service = own_process(secure)
    before = load_model(tmp_path / "a").sha256
    with Client(service.address, credentials=old) as client:
        assert client.describe().sha256 == before
        put(other.issue("renewed"), tmp_path)
        tokens.unlink()
        new = Credentials(ca=other.cert, token=add_token(tokens, "new", ["admin"]))
        (tmp_path / "next").symlink_to("b")
        (tmp_path / "next").rename(tmp_path / "current")
        client.line(session("0a")[0])
        assert client.flush(20)
        service.process.send_signal(signal.SIGHUP)
        said(service, "in place of")
        # The stream was admitted, and goes on over its connection.
        client.line(session("0a")[1])
        assert client.flush(20)
        with pytest.raises(TokenError, match="not known here"):
            client.describe()

    with Client(service.address, credentials=new) as client:
        assert client.describe().sha256 == load_model(tmp_path / "b").sha256
    with Client(service.address, credentials=old) as client, pytest.raises(OverloadError):
        client.describe()
    assert service.terminate() == 0
    assert "Traceback" not in "".join(service.said)


def test_what_is_wrong_with_one_of_them_leaves_it_as_it_was(
    secure: ServiceConfig,
    in_process: InProcess,
    authority: Authority,
    other: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens = tmp_path / "tokens"
    secret = add_token(tokens, "ann", ["admin"])
    right = tokens.read_bytes()
    fine, key = authority.issue("fine")
    cases: list[tuple[tuple[Path, Path], bytes, str]] = [
        (
            (fine, other.issue("other")[1]),
            right,
            "the certificate is not taken, the last one holds: expected a c",
        ),
        (other.issue("odd", curve=SECP256K1()), right, "gRPC does not know the kind of key"),
        ((fine, key), b"", "the token file is not taken, the last one holds: the token file"),
        ((fine, key), b"ann admin hunter2\n", "expected NAME SCOPE"),
    ]

    with in_process(secure) as running:
        for pair, content, line in cases:
            put(pair, tmp_path)
            tokens.write_bytes(content)
            caplog.clear()
            renew(running)
            assert line in caplog.text
            assert "hunter2" not in caplog.text
            assert get(running, "/metrics", authority, token=secret)[0] == 200
            with Client(
                running.address, credentials=Credentials(ca=authority.cert, token=secret)
            ) as client:
                assert client.describe().format == "text"


def renew(running: Running) -> None:
    """As a hangup does, and wait until it is over."""
    before = sum(reloads(running).values())
    running._loop.call_soon_threadsafe(running.server.renew)
    until(lambda: sum(reloads(running).values()) > before)


def test_before_the_service_is_ready_a_hangup_is_passed_over(
    config: ServiceConfig, in_process: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with in_process(config) as running:
        running.server._readiness.open = False
        running._loop.call_soon_threadsafe(running.server.renew)
        with Client(running.address) as client:
            client.score_once(pb.EventBatch(lines=["x"]))

    assert "the service is not ready" in caplog.text
