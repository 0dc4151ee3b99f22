"""A port for what starts late or comes back: nobody else is given it in the meantime."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_address() -> Iterator[str]:
    """HOST:PORT of loopback.

    A socket has the port and does not listen: the system gives it to nobody who asks for any, and
    who names it can listen there.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"
