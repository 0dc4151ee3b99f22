"""TLS: certificates and keys from PEM files, in the forms that gRPC and the HTTP port want."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from ..model.errors import InputError
from .config import ServiceConfig
from .private import read_private


def http_context(config: ServiceConfig) -> ssl.SSLContext | None:
    """For the HTTP port; None if the service has no certificate."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, config.tls_cert, config.tls_key)
    return context


def server_credentials(config: ServiceConfig) -> grpc.ServerCredentials | None:
    """For the gRPC port; with a `client_ca` clients must show a certificate that it has signed."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    pair = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), config.tls_cert, config.tls_key)
    roots = None if config.client_ca is None else _authorities(config.client_ca)
    return grpc.ssl_server_credentials([pair], roots, require_client_auth=roots is not None)


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
