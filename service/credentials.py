"""What a client shows the service, and how it knows the service: certificates and a token."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from ..model.errors import InputError
from .config import is_loopback, split_address
from .private import read_private
from .tls import channel_credentials

TOKEN_VARIABLE = "OFFSCRIPT_TOKEN"  # noqa: S105 - its name
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Credentials:
    """TLS if `ca` is given, with a certificate of its own if the service wants one."""

    ca: Path | None = None  # the authorities that may vouch for the service
    cert: Path | None = None
    key: Path | None = None
    token: str = field(default="", repr=False)  # "": none

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise InputError("expected --cert and --key together, got one of them: give both")
        if self.cert is not None and self.ca is None:
            raise InputError("expected --ca beside --cert: give the authority of the service")
        if self.token and not _TOKEN.fullmatch(self.token):
            raise InputError("expected a token without blanks or special letters, got another one")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(self, address: str, options: Sequence[tuple[str, int]]) -> grpc.Channel:
        """A channel to HOST:PORT; a token leaves this machine encrypted or not at all."""
        host, _ = split_address(address)  # complains; gRPC would in several lines of C++
        if self.ca is not None:
            credentials = channel_credentials(self.ca, self.cert, self.key)
            return grpc.secure_channel(address, credentials, options)
        if self.token and not is_loopback(host):
            raise InputError(
                f"the token would go to {address} unencrypted: give the authority of the service "
                f"with --ca, or send no token"
            )
        return grpc.insecure_channel(address, options)

    def trouble(self, said: str) -> str:
        """Why there is no connection, from what gRPC says, as far as that tells."""
        reason = said.rsplit(": ", 1)[-1]
        if "[" not in reason:
            reason = reason.rstrip("]")  # the end of a list of errors
        if "CERTIFICATE_VERIFY_FAILED" in said:
            why = said.partition("CERTIFICATE_VERIFY_FAILED: ")[2].partition(":")[0]
            return f"TLS handshake failed, {why}; check the service's certificate and --ca"
        if "Hostname Verification" in said:
            return (
                "TLS handshake failed, its certificate is for other names; call it by one of them"
            )
        if "WRONG_VERSION_NUMBER" in said:
            return "TLS handshake failed, it speaks no TLS; leave out --ca"
        if "handshake failed" in said:
            return f"TLS handshake failed, {reason}; check --ca, --cert and --key"
        if said.startswith("failed to connect") and reason == "Socket closed":
            # So end handshakes that the other side breaks off.
            if self.ca is None:
                return f"{reason}; if it speaks TLS, give its authority with --ca"
            if self.cert is None:
                return f"{reason}; if it wants a certificate, give yours with --cert and --key"
            return f"{reason}; it may not accept the certificate of --cert"
        return reason


def read_token(file: Path | None) -> str:
    """The token in a file, else in the environment. On a command line everybody could read it."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    token = read_private(file, "the token").decode(errors="replace").strip()
    if not token:
        raise InputError(f"expected a token in {file}, got an empty file")
    return token


def credentials_of(options: argparse.Namespace) -> Credentials:
    """What the options of a command say."""
    token = read_token(options.token_file)
    return Credentials(ca=options.ca, cert=options.cert, key=options.key, token=token)
