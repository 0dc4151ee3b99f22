"""Tokens: who may call, and for what. Their file keeps digests; a secret is shown once, when made.

A line is NAME SCOPE[,SCOPE…] SHA-256; what follows a # is a comment.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..model.errors import InputError
from .private import read_private

_WHAT = "the token file"
_NAME = re.compile(r"[\w.@-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a token is good for."""

    SEND = "send"  # events
    READ = "read"  # alerts, explanations, the model, metrics
    ADMIN = "admin"  # all that changes something, and the others too


@dataclass(frozen=True)
class Token:
    """One caller. The secret has 256 random bits, so its digest needs no salt and no slow hash."""

    name: str
    scopes: frozenset[Scope]
    digest: str

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


def find_token(tokens: Sequence[Token], secret: str) -> Token | None:
    """The token of a secret. It takes as long whichever it is, and whether it is one at all."""
    digest = _digest(secret)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file; InputError if there is none, as then nobody could call."""
    tokens = _parse(path, read_private(path, _WHAT))
    if not tokens:
        raise InputError(
            f"{_WHAT} {path} holds no token, so nobody could call: "
            f"add one with: offscript token {path} NAME --scopes send"
        )
    return tokens


def add_token(path: Path, name: str, scopes: Iterable[str]) -> str:
    """Add a line to a token file, which is made if it is not there; returns the new secret."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"expected a name of 1 to 64 letters, digits, dots, dashes or @, got {name!r}"
        )
    content = read_private(path, _WHAT) if path.exists() else b""
    if any(token.name == name for token in _parse(path, content)):
        raise InputError(
            f"{path} has a token named {name}: choose another name, or delete its line"
        )
    secret = secrets.token_urlsafe(32)
    line = f"{name} {','.join(sorted(_scopes(scopes)))} {_digest(secret)}\n"
    if content and not content.endswith(b"\n"):
        line = "\n" + line
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(file, "a", encoding="utf-8") as opened:
            opened.write(line)
    except OSError as error:
        raise InputError(f"cannot write {_WHAT} {path}: {error.strerror}") from error
    return secret


def _parse(path: Path, content: bytes) -> tuple[Token, ...]:
    """Complaints name the line and repeat nothing of it: someone may have put a secret there."""
    tokens: list[Token] = []
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        place = f"{_WHAT} {path}, line {number}"
        if len(words) != 3 or not _NAME.fullmatch(words[0]) or not _DIGEST.fullmatch(words[2]):
            raise InputError(
                f"{place}: expected NAME SCOPE[,SCOPE…] SHA-256, got something else; "
                "offscript token writes such lines"
            )
        try:
            scopes = _scopes(words[1].split(","))
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        if any(token.name == words[0] for token in tokens):
            raise InputError(f"{place}: its name stands on an earlier line too; delete one of them")
        tokens.append(Token(words[0], scopes, words[2]))
    return tuple(tokens)


def _scopes(words: Iterable[str]) -> frozenset[Scope]:
    try:
        return frozenset(map(Scope, words))
    except ValueError:
        raise InputError(f"expected scopes of {', '.join(Scope)}, got something else") from None


def _digest(secret: str) -> str:
    # What came over the network may be no Unicode.
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
