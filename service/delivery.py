"""One POST to a receiver of ours, and what its answer means."""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

import urllib3

from ..model.errors import InputError, OffscriptError

_CONNECT_SECONDS, _READ_SECONDS = 5.0, 15.0
_SAID_BYTES = 200
_LONGEST_WAIT = 3600.0  # that a receiver may ask for


class UndeliveredError(OffscriptError):
    """It was not taken, and may be later: after `retry_seconds`, if the receiver said when."""

    def __init__(self, message: str, retry_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class RefusedError(OffscriptError):
    """The receiver does not want it; sending it again would change nothing.

    `content`: it is what was sent that is wrong, and not who sent it or where to.
    """

    def __init__(self, message: str, *, content: bool) -> None:
        super().__init__(message)
        self.content = content


class Receiver:
    """Takes JSON at `url`, or at `path` below it. One thread owns it."""

    def __init__(self, url: str, path: str = "") -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parsed = urllib3.util.Url()
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.auth:
            raise InputError(
                "expected a URL like http://127.0.0.1:9093, without user and password, got "
                f"{parsed.scheme}://{parsed.netloc}"
                if parsed.auth
                else f"expected a URL like http://127.0.0.1:9093, got {url!r}"
            )
        self.url = url.rstrip("/") + path if path else url
        # What the log may say of it: a path or a query often holds a secret.
        self.name = f"{parsed.scheme}://{parsed.netloc}"
        self._pool = urllib3.PoolManager(
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            ssl_context=ssl.create_default_context(),
        )

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises UndeliveredError or RefusedError if it is not taken."""
        try:
            answer = self._pool.request(
                "POST",
                self.url,
                body=body,
                headers=dict(headers),
                redirect=False,
                preload_content=False,
            )
            taken = 200 <= answer.status < 300
            # Of an answer without end the beginning is enough.
            said = "" if taken else answer.read(_SAID_BYTES).decode(errors="replace")
            answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise UndeliveredError(f"{self.name} cannot be reached: {_reason(error)}") from error
        if taken:
            return
        said = " ".join(said.split())
        message = f"{self.name} answered {answer.status}: {said}".rstrip(": ")
        if answer.status in (408, 425, 429) or answer.status >= 500:
            raise UndeliveredError(message, _asked(answer.headers.get("Retry-After")))
        raise RefusedError(message, content=answer.status in (400, 413, 422))

    def close(self) -> None:
        self._pool.clear()


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """What urllib3 says, without the object that it says it about."""
    return str(error).rpartition(": ")[2]


def _asked(value: str | None) -> float | None:
    """Seconds of a Retry-After, which is a number or a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)
