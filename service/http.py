"""The HTTP port: /metrics for Prometheus, /healthz and /readyz for whoever keeps us running."""

from __future__ import annotations

import logging
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from ..model.errors import InputError, ScopeError
from .access import Access
from .config import split_address
from .metrics import Metrics
from .tokens import Scope

logger = logging.getLogger("offscript")

_PLAIN = "text/plain; charset=utf-8"


class HttpServer:
    """Serves on a thread from the moment it is made. `port` is the one that is bound."""

    def __init__(
        self,
        address: str,
        metrics: Metrics,
        ready: Callable[[], bool],
        *,
        access: Access,
        tls: ssl.SSLContext | None,
    ) -> None:
        def answer(path: str, authorization: str, peer: str) -> tuple[int, str, bytes]:
            if path == "/metrics":
                refusal = access.refusal(authorization, Scope.READ, path)
                if refusal is not None:
                    access.record(refusal, path, peer)
                    status = 403 if isinstance(refusal.error, ScopeError) else 401
                    return status, _PLAIN, f"{refusal.error}\n".encode()
                return 200, CONTENT_TYPE_LATEST, metrics.text()
            if path == "/healthz":
                return 200, _PLAIN, b"ok\n"
            if path == "/readyz":
                return (200, _PLAIN, b"ready\n") if ready() else (503, _PLAIN, b"not ready\n")
            return 404, _PLAIN, b"there are /metrics, /healthz and /readyz\n"

        class Handler(_Handler):
            respond = staticmethod(answer)

        host, port = split_address(address)
        self._server = _server(host.strip("[]"), port, Handler, tls)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "offscript", ""
    timeout = 10  # for one that connects and says nothing
    respond: Callable[[str, str, str], tuple[int, str, bytes]]

    def setup(self) -> None:
        super().setup()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()  # within the timeout

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        path, peer = self.path.split("?")[0], self.client_address[0]
        status, kind, body = self.respond(path, authorization, peer)
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Scrapes are not worth a line each."""


def _server(
    host: str, port: int, handler: type[_Handler], tls: ssl.SSLContext | None
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
                connection = tls.wrap_socket(
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
