"""TLS: certificates and keys from PEM files, in the forms that gRPC and the HTTP port want."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from ..model.errors import InputError
from .config import ServiceConfig
from .private import read_private


class Certificate:
    """The service's certificate for both ports, which may be read anew while they are open.

    Connections that are made from then on see what was read last.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self.read()

    def read(self) -> None:
        """Read the files; if something is wrong with them, all stays as it was."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        pair = _load(context, self._cert, self._key)
        roots = None
        if self._client_ca is not None:
            roots = _authorities(self._client_ca)
            context.load_verify_locations(cafile=self._client_ca)
            # Whoever looks whether the service is there has none: the handler asks the others.
            context.verify_mode = ssl.CERT_OPTIONAL
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC: any of them is trusted
        _check_kind(pair, self._key)
        self.http = context
        self._grpc = grpc.ssl_server_certificate_configuration([pair], roots)
        self._known = False  # to gRPC

    def credentials(self) -> grpc.ServerCredentials:
        """For the gRPC port; with a `client_ca` clients must show a certificate that it signed."""
        self._known = True
        return grpc.dynamic_ssl_server_credentials(
            self._grpc,
            self._renewed,  # type: ignore[arg-type] # the stubs forget that it may be None
            require_client_authentication=self._client_ca is not None,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What gRPC asks for at every handshake: the certificate, if it has not seen it."""
        if self._known:
            return None
        self._known = True
        return self._grpc


def certificate_of(config: ServiceConfig) -> Certificate | None:
    """What the configuration says; None if the service has no certificate."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Certificate(config.tls_cert, config.tls_key, config.client_ca)


def channel_credentials(
    ca: Path, cert: Path | None = None, key: Path | None = None
) -> grpc.ChannelCredentials:
    """For a client that believes `ca`, and shows a certificate of its own if it has one."""
    pair: tuple[bytes | None, bytes | None] = (None, None)
    if cert is not None and key is not None:
        pair = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    return grpc.ssl_channel_credentials(_authorities(ca), *pair)


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> tuple[bytes, bytes]:
    """Key and certificate, in gRPC's order. Whatever the context is for, it proves that they fit:
    gRPC would complain in several lines of C++.
    """
    pair = read_private(key, "the key"), _read(cert, "the certificate")
    try:
        context.load_cert_chain(cert, key, password="")  # so that it asks nobody
    except ssl.SSLError as error:
        raise InputError(
            f"expected a certificate in {cert} and its key, without a passphrase, in {key}, both "
            f"in PEM: {_reason(error)}"
        ) from error
    return pair


def _check_kind(pair: tuple[bytes, bytes], key: Path) -> None:
    """See that gRPC can use the key: what it is given later it would pass over without a word."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    try:
        server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:  # an address is free, and the key fits its certificate
        raise InputError(
            f"gRPC does not know the kind of key in {key}: expected RSA, P-256, P-384 or Ed25519; "
            "make a certificate with such a key"
        ) from error
    finally:
        server.stop(None)


def _authorities(path: Path) -> bytes:
    content = _read(path, "the certificates of authorities")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise InputError(
            f"expected the certificate of an authority in {path}, in PEM: {_reason(error)}"
        ) from error
    return content


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror}") from error


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "it cannot be read").replace("_", " ").lower()
