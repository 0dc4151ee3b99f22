"""TLS on both ports, between real peers: who gets through, and what the others are told."""

from __future__ import annotations

import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1

from offscript.model.errors import InputError, OverloadError, ScopeError, TokenError
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.credentials import Credentials
from offscript.service.tls import certificate_of
from offscript.service.tokens import Scope
from offscript.tests.service.certificates import Authority

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]
Tokens = tuple[Path, dict[Scope, str]]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody here believes."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def mutual(config: ServiceConfig, authority: Authority, in_process: InProcess) -> Iterator[Running]:
    """A service that wants certificates of its clients, and no tokens."""
    cert, key = authority.issue("mutual")
    with in_process(
        replace(config, tls_cert=cert, tls_key=key, client_ca=authority.cert)
    ) as service:
        yield service


def complaint(address: str, credentials: Credentials) -> str:
    """What a client says that does not get through."""
    with pytest.raises(OverloadError) as caught:
        Client(address, credentials=credentials).describe()
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"no answer from a service at {address}: ")


def get(
    running: Running,
    path: str,
    authority: Authority,
    token: str = "",
    posted: bytes | None = None,
    own: tuple[Path, Path] | None = None,
) -> tuple[int, str]:
    """Status and body of a page over HTTPS, or of what is answered to a JSON body; asked for with
    a certificate and key of its own or without.
    """
    request = urllib.request.Request(
        f"https://127.0.0.1:{running.server.http_port}{path}",
        posted,
        {} if posted is None else {"Content-Type": "application/json"},
    )
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=authority.cert)
    if own is not None:
        context.load_cert_chain(*own)
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_client_with_a_token_does_everything_over_tls(
    secured: Running, authority: Authority, tokens: Tokens, session: Lines
) -> None:
    credentials = Credentials(ca=authority.cert, token=tokens[1][Scope.ADMIN])
    with Client(secured.address, credentials=credentials) as client:
        for line in session("0b", odd=True):
            client.line(line)
        assert client.flush(30)
        alert = next(client.alerts(stream="0b"))
        assert next(client.watch(since=1.0)).id
        assert client.explain(alert.id, checks=False).alert_id == alert.id
        assert client.feedback(alert.id, "normal").alert.id == alert.id


def test_on_loopback_tokens_work_without_tls(
    config: ServiceConfig, tokens: Tokens, in_process: InProcess
) -> None:
    path, secrets = tokens
    with in_process(replace(config, tokens=path)) as service:
        credentials = Credentials(token=secrets[Scope.READ])
        with Client(service.address, credentials=credentials) as client:
            assert client.describe().format == "text"
        with Client(service.address) as stranger, pytest.raises(TokenError, match="none came"):
            stranger.describe()
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            urllib.request.urlopen(f"{service.web}/metrics")
        caught.value.close()


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("", TokenError, "none came: set OFFSCRIPT_TOKEN or give --token-file"),
        ("hunter2", TokenError, "the one that came is not known here"),
        (Scope.SEND, ScopeError, "scope read, and sender has only send"),
        (Scope.READ, ScopeError, "scope send, and reader has only read"),
    ],
)
def test_a_refused_client_ends_with_one_line_instead_of_asking_again(
    secured: Running,
    authority: Authority,
    tokens: Tokens,
    given: str,
    kind: type[Exception],
    said: str,
) -> None:
    token = tokens[1].get(Scope(given), "") if given in tuple(Scope) else given
    waited: list[str] = []
    client = Client(
        secured.address,
        credentials=Credentials(ca=authority.cert, token=token),
        waiting=waited.append,
    )

    if given != Scope.READ:
        with pytest.raises(kind, match=said):
            next(client.watch())
        with pytest.raises(kind, match=said):
            next(client.alerts())
    if given != Scope.SEND:
        with pytest.raises(
            kind, match="with the scope send, and"
        ):  # at once, if it is known by now
            client.line("a line")
            client.flush(30)
    client.close()
    assert not waited


def test_a_client_that_does_not_believe_the_service_says_so(
    secured: Running, running: Running, authority: Authority, stranger: Authority
) -> None:
    assert complaint(secured.address, Credentials(ca=stranger.cert)).startswith(
        "TLS handshake failed, unable to get local issuer certificate; check"
    )
    assert complaint(secured.address, Credentials()) == (
        "Socket closed; if it speaks TLS, give its authority with --ca"
    )
    other_name = f"localhost:{secured.server.grpc_port}"
    assert complaint(other_name, Credentials(ca=authority.cert)) == (
        "TLS handshake failed, its certificate is for other names; call it by one of them"
    )
    assert complaint(running.address, Credentials(ca=authority.cert)) == (
        "TLS handshake failed, it speaks no TLS; leave out --ca"
    )


def test_an_expired_certificate_is_not_believed(
    config: ServiceConfig, authority: Authority, in_process: InProcess
) -> None:
    cert, key = authority.issue("expired", days=-1)
    with in_process(replace(config, tls_cert=cert, tls_key=key)) as service:
        assert complaint(service.address, Credentials(ca=authority.cert)).startswith(
            "TLS handshake failed, certificate has expired; check"
        )
        with pytest.raises(urllib.error.URLError, match="certificate has expired"):
            get(service, "/healthz", authority)


def test_a_service_that_wants_certificates_knows_good_from_bad(
    mutual: Running, authority: Authority, stranger: Authority
) -> None:
    ca = authority.cert
    cert, key = authority.issue("client")
    strange_cert, strange_key = stranger.issue("client")
    old_cert, old_key = authority.issue("old", days=-1)

    with Client(mutual.address, credentials=Credentials(ca=ca, cert=cert, key=key)) as client:
        assert client.describe().format == "text"
    assert "give yours with --cert and --key" in complaint(mutual.address, Credentials(ca=ca))
    for bad in (
        Credentials(ca=ca, cert=strange_cert, key=strange_key),
        Credentials(ca=ca, cert=old_cert, key=old_key),
    ):
        assert "it may not accept the certificate of --cert" in complaint(mutual.address, bad)


def test_over_http_all_but_health_wants_a_certificate(
    mutual: Running, authority: Authority, stranger: Authority
) -> None:
    own = authority.issue("scraper")
    for path, posted in (("/metrics", None), ("/v1/logs", b"{}")):
        assert get(mutual, path, authority, posted=posted, own=own)[0] == 200
        status, said = get(mutual, path, authority, posted=posted)
        assert (status, said.count("\n")) == (403, 1)
        assert said.startswith(f"{path} needs a client certificate, and none came: show one")
        for bad in (stranger.issue("client"), authority.issue("old", days=-1)):
            with pytest.raises(OSError, match="alert|reset|closed|EOF|Broken"):
                get(mutual, path, authority, posted=posted, own=bad)

    assert get(mutual, "/healthz", authority) == (200, "ok\n")
    assert get(mutual, "/readyz", authority) == (200, "ready\n")
    page = get(mutual, "/metrics", authority, own=own)[1]
    assert 'offscript_calls_refused_total{reason="no_certificate"} 2.0' in page


def test_metrics_want_a_token_that_reads_and_health_wants_none(
    secured: Running, authority: Authority, tokens: Tokens
) -> None:
    secrets = tokens[1]

    assert get(secured, "/healthz", authority) == (200, "ok\n")
    assert get(secured, "/readyz", authority) == (200, "ready\n")
    assert get(secured, "/other", authority)[0] == 404
    for path in ("/metrics", "/metrics?x=1"):
        assert get(secured, path, authority)[0] == 401
        assert get(secured, path, authority, "hunter2")[0] == 401
        status, said = get(secured, path, authority, secrets[Scope.SEND])
        assert status == 403
        assert "needs a token with the scope read" in said
        for scope in (Scope.READ, Scope.ADMIN):
            status, page = get(secured, path, authority, secrets[scope])
            assert status == 200
            assert "offscript_calls_refused_total" in page
            assert not any(secret in page for secret in secrets.values())


def test_log_records_want_a_token_that_sends(
    secured: Running, authority: Authority, tokens: Tokens
) -> None:
    def post(scope: Scope | None, body: bytes = b"{}") -> tuple[int, str]:
        token = "" if scope is None else tokens[1][scope]
        return get(secured, "/v1/logs", authority, token, body)

    assert post(None)[0] == post(None, b"x" * 1_000_000)[0] == 401
    status, said = post(Scope.READ)
    assert status == 403
    assert "needs a token with the scope send" in said
    assert post(Scope.SEND) == post(Scope.ADMIN) == (200, "{}")
    assert get(secured, "/v1/logs", authority)[0] == 401


def test_a_scrape_succeeds_while_many_connections_say_nothing(
    secured: Running, authority: Authority, tokens: Tokens
) -> None:
    address = ("127.0.0.1", secured.server.http_port)
    with ExitStack() as silent:
        for _ in range(200):
            silent.enter_context(socket.create_connection(address, timeout=20))

        assert get(secured, "/metrics", authority, tokens[1][Scope.READ])[0] == 200


def test_garbage_on_the_ports_harms_nobody(
    secured: Running, authority: Authority, tokens: Tokens, capfd: pytest.CaptureFixture[str]
) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a TLS handshake begins
    garbage = (os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", hello, b"")
    for port in (secured.server.grpc_port, secured.server.http_port):
        for said in garbage:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(said)

    assert get(secured, "/readyz", authority)[0] == 200
    credentials = Credentials(ca=authority.cert, token=tokens[1][Scope.READ])
    with Client(secured.address, credentials=credentials) as client:
        assert client.describe().format == "text"
    assert "Traceback" not in capfd.readouterr().err


def test_nothing_older_than_tls_1_2_is_spoken(config: ServiceConfig, authority: Authority) -> None:
    cert, key = authority.issue("versions")
    certificate = certificate_of(replace(config, tls_cert=cert, tls_key=key))

    assert certificate is not None
    assert certificate.http.minimum_version == ssl.TLSVersion.TLSv1_2


def test_files_that_do_not_fit_are_one_clear_line_before_anything_listens(
    config: ServiceConfig, authority: Authority, in_process: InProcess, tmp_path: Path
) -> None:
    cert, key = authority.issue("fits")
    _, other = authority.issue("other")
    odd_cert, odd_key = authority.issue("odd", curve=SECP256K1())
    open_key, locked, cut = tmp_path / "open.key", tmp_path / "locked.key", tmp_path / "cut.pem"
    open_key.write_bytes(key.read_bytes())
    open_key.chmod(0o644)
    locked.touch(0o600)
    locked.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    cut.write_bytes(cert.read_bytes()[:200])
    both: dict[str, Any] = {"tls_cert": cert, "tls_key": key}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tls_cert": cert, "tls_key": other}, "and its key.*: key values mismatch"),
        ({"tls_cert": odd_cert, "tls_key": odd_key}, "gRPC does not know the kind of key in"),
        ({"tls_cert": cert, "tls_key": locked}, "its key, without a passphrase"),
        ({"tls_cert": cert, "tls_key": open_key}, f"the key {open_key} is open to others"),
        ({"tls_cert": cert, "tls_key": tmp_path / "none"}, "cannot read the key .*No such file"),
        ({"tls_cert": cut, "tls_key": key}, "expected a certificate in"),
        ({"tls_cert": tmp_path, "tls_key": key}, "cannot read the certificate .*Is a directory"),
        (both | {"client_ca": cut}, "expected the certificate of an authority"),
        (both | {"tokens": tmp_path / "none"}, "cannot read the token file"),
    ]

    for files, said in cases:
        with pytest.raises(InputError, match=said) as caught:
            in_process(replace(config, **files))
        assert not re.search("\n", str(caught.value))
