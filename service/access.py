"""Who may do what: calls are held against the tokens; refused ones are counted and logged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..model.errors import OffscriptError, ScopeError, TokenError
from .audit import LOCAL
from .metrics import Metrics
from .tokens import Scope, Token, find_token

logger = logging.getLogger("offscript")

_LOG_SECONDS = 1.0  # between two lines about refused calls


@dataclass(frozen=True)
class Refusal:
    """Why a call is refused: in a word for the metric, and as an error for the caller."""

    reason: str
    error: OffscriptError


class Access:
    """Checks calls against the tokens; without tokens everything is allowed."""

    def __init__(self, tokens: Sequence[Token] | None, metrics: Metrics) -> None:
        self._tokens = tokens
        self._metrics = metrics
        self._lock = threading.Lock()
        self._untold = 0  # refused calls since the last line about them
        self._told = float("-inf")

    def use(self, tokens: Sequence[Token]) -> None:
        """Admit these from now on; what was admitted before goes on until it ends."""
        self._tokens = tokens

    def refusal(self, authorization: str, scope: Scope, call: str) -> Refusal | None:
        """None if the header `authorization: Bearer SECRET` brings the scope that a call needs."""
        if self._tokens is None:
            return None
        secret = _secret(authorization)
        if secret is None:
            return Refusal(
                "no_token",
                TokenError(
                    f"{call} needs a token with the scope {scope}, and none came: set "
                    "OFFSCRIPT_TOKEN or give --token-file; other clients send the header "
                    "authorization: Bearer TOKEN"
                ),
            )
        token = find_token(self._tokens, secret)
        if token is None:
            return Refusal(
                "unknown_token",
                TokenError(
                    f"{call} needs a token with the scope {scope}, and the one that came is not "
                    "known here: ask whoever runs the service for another"
                ),
            )
        if not token.allows(scope):
            return Refusal(
                "scope",
                ScopeError(
                    f"{call} needs a token with the scope {scope}, and {token.name} has only "
                    f"{', '.join(sorted(token.scopes))}: use another token"
                ),
            )
        return None

    def name(self, authorization: str) -> str:
        """Who calls, for the audit trail: the token's name, or LOCAL where none is needed."""
        if self._tokens is None:
            return LOCAL
        token = find_token(self._tokens, _secret(authorization) or "")
        return "a token taken back" if token is None else token.name  # a moment ago it was there

    def sender(self, authorization: str, address: str) -> str:
        """Whose limits count: the token's name, or the address where none is needed."""
        return address if self._tokens is None else self.name(authorization)

    def record(self, refusal: Refusal, call: str, peer: str) -> None:
        """Count a refused call, and log it unless one was logged a moment ago."""
        self._metrics.calls_refused[refusal.reason].inc()
        with self._lock:
            self._untold += 1
            now = time.monotonic()
            if now < self._told + _LOG_SECONDS:
                return
            others = self._untold - 1
            self._untold, self._told = 0, now
        logger.warning(
            "refused %s to %s: %s; %d others since the last such line",
            call,
            peer,
            refusal.reason,
            others,
        )


def uncertified(call: str) -> Refusal:
    """What becomes of a call over a connection without the certificate that it needs."""
    return Refusal(
        "no_certificate",
        ScopeError(
            f"{call} needs a client certificate, and none came: show one that the authority of "
            "the service's --client-ca has signed"
        ),
    )


def _secret(authorization: str) -> str | None:
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
