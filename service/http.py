"""The HTTP port: /metrics for Prometheus, /healthz and /readyz for whoever keeps us running, and
paths that take what is posted there.
"""

from __future__ import annotations

import logging
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from ..model.errors import InputError
from .access import Access, uncertified
from .allowance import SENDER
from .body import Body
from .config import split_address
from .errors import to_http
from .metrics import Metrics
from .tokens import Scope

logger = logging.getLogger("offscript")

_PLAIN = "text/plain; charset=utf-8"
_PAGES = ("/metrics", "/healthz", "/readyz")
_LAST_SECONDS = 1.0  # for answers to be written when all that was taken is scored
_LEFT_BYTES = 64 << 20  # of a body that was not wanted, to take in before the connection ends


@dataclass(frozen=True)
class Reply:
    """What is answered to one request."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Post = Callable[[Headers, Body], Reply]


class HttpServer:
    """Serves on a thread from the moment it is made. `port` is the one that is bound.

    `posts` are the paths that take a body, and what answers there; `tls` is asked at every
    connection for the certificate of that moment.
    """

    def __init__(
        self,
        address: str,
        metrics: Metrics,
        ready: Callable[[], bool],
        posts: Mapping[str, Post],
        *,
        access: Access,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        needed = {"/metrics": Scope.READ, **dict.fromkeys(posts, Scope.SEND)}

        def gate(path: str, authorization: str, peer: str, certified: bool) -> Reply | None:
            refusal = None
            if path in needed:
                refusal = access.refusal(authorization, needed[path], path)
                if not certified:
                    refusal = uncertified(path)
            if refusal is None:
                SENDER.set(access.sender(authorization, peer))
                return None
            access.record(refusal, path, peer)
            status, headers = to_http(refusal.error)
            return Reply(status, _PLAIN, f"{refusal.error}\n".encode(), headers)

        def page(path: str) -> Reply:
            if path == "/metrics":
                return Reply(200, CONTENT_TYPE_LATEST, metrics.text())
            if path == "/healthz":
                return Reply(200, _PLAIN, b"ok\n")
            if path == "/readyz":
                return Reply(
                    *(200, _PLAIN, b"ready\n") if ready() else (503, _PLAIN, b"not ready\n")
                )
            if path in posts:
                return Reply(405, _PLAIN, b"this takes POST only\n", {"Allow": "POST"})
            return Reply(404, _PLAIN, f"there are {', '.join((*_PAGES, *posts))}\n".encode())

        def posted(path: str, headers: Headers, body: Body) -> Reply:
            if path in posts:
                return posts[path](headers, body)
            if path in _PAGES:
                return Reply(405, _PLAIN, b"this takes GET only\n", {"Allow": "GET"})
            return page(path)

        under_way = self._under_way = _UnderWay()

        class Handler(_Handler):
            refused, posting = staticmethod(gate), under_way
            get, post = staticmethod(page), staticmethod(posted)

        host, port = split_address(address)
        self._server = _server(host.strip("[]"), port, Handler, tls)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, and let what was posted be answered."""
        self._server.shutdown()
        self._under_way.wait(_LAST_SECONDS)
        self._server.server_close()
        self._thread.join()


class _UnderWay:
    """How many are answered just now; a context manager for each."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until none is, or so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count, seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "offscript", ""
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait
    timeout = 10  # for one that connects and says nothing
    refused: Callable[[str, str, str, bool], Reply | None]
    get: Callable[[str], Reply]
    post: Callable[[str, Headers, Body], Reply]
    posting: _UnderWay

    def setup(self) -> None:
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()  # within the timeout

    def handle(self) -> None:
        with suppress(ConnectionError):  # one who has gone away is not worth a trace
            super().handle()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self._send(self._refused(path) or self.get(path))

    def do_POST(self) -> None:
        body, path = Body(self.headers, self.rfile), self.path.split("?")[0]
        with self.posting:
            reply = self._refused(path) or self.post(path, self.headers, body)
            self.close_connection |= not body.whole  # what is left of it is no request
            self._send(reply)
        body.pass_over(_LEFT_BYTES)

    def _refused(self, path: str) -> Reply | None:
        authorization, peer = self.headers.get("Authorization", ""), self.client_address[0]
        return self.refused(path, authorization, peer, self._certified())

    def _certified(self) -> bool:
        """Whether the client has shown a certificate, or need not; at a bad one TLS has ended."""
        connection = self.connection
        if not isinstance(connection, ssl.SSLSocket):
            return True
        wanted = connection.context.verify_mode is not ssl.CERT_NONE
        return not wanted or connection.getpeercert(binary_form=True) is not None

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Scrapes are not worth a line each."""


def _server(
    host: str, port: int, handler: type[_Handler], tls: Callable[[], ssl.SSLContext] | None
) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True
        block_on_close = False  # a scraper's idle connection does not delay the end
        request_queue_size = 128  # many may connect at once

        def get_request(self) -> tuple[socket, Any]:
            connection, peer = super().get_request()
            if tls is not None:
                # Whoever is slow to shake hands must not keep the others from being accepted, so
                # that is left to the thread of the connection.
                connection = tls().wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
            return connection, peer

        def handle_error(self, *_: object) -> None:
            """Clients that hang up, are silent or speak no TLS are not worth a traceback."""
            error = sys.exception()
            if not isinstance(error, OSError):
                logger.error("a request over HTTP failed", exc_info=error)

    try:
        return Server((host, port), handler)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what listens there, or choose "
            "another address with --http"
        ) from error
