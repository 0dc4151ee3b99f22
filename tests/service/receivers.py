"""Web servers that incidents are sent to: they take them, refuse them, or fail for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

Found = TypeVar("Found")


@dataclass
class Receiver:
    """Keeps what comes. `answers` are given in turn, the last for ever: status and headers; none
    while it does not `talk`.
    """

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    talks: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        receiver = self
        self.talks.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
                receiver.talks.wait()
                last = len(receiver.answers) == 1
                status, headers = receiver.answers[0] if last else receiver.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                with suppress(ConnectionError):  # who asked may have hung up by now
                    self.end_headers()
                    self.wfile.write(b"as you like")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Tests say enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self.talks.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def until(true: Callable[[], Found], seconds: float = 30.0) -> Found:
    """What it is once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found
