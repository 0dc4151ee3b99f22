"""The service put together: ports, health, reflection, signals, an end that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ..model.errors import InputError, OffscriptError, StoreError
from ..model.folder import Model
from .access import Access
from .alertmanager import Alertmanager
from .audit import LOCAL, Deed
from .config import LOGS_BYTES, ServiceConfig, split_address
from .engine import Engine
from .gate import Gate
from .heap import return_freed
from .http import HttpServer
from .intake import LOGS_SERVICE, LogIntake
from .metrics import Metrics
from .operations import Operations
from .otlp_http import LOGS_PATH, LogsOverHttp
from .readiness import Readiness
from .reload import Reloader
from .servicer import SERVICE, Servicer
from .shares import show_shares
from .sink import Sink, Teller
from .store import Store
from .systemd import notify
from .tls import certificate_of
from .tokens import read_tokens
from .trial import load_to_serve
from .watch import look, watch
from .webhook import Webhook, read_secret

logger = logging.getLogger("offscript")

_CALLS = 1024  # under way of one connection


def serve(config: ServiceConfig) -> int:
    """Serve until SIGTERM or SIGINT, then end in good order; returns the exit status."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_says_no_header)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # every opening of a store is no news
    return_freed()
    # A thread that comes back from a kernel waits so long for one that runs Python, at the most.
    sys.setswitchinterval(0.0002)
    asyncio.run(_serve_until_signal(config))
    return 0


def _says_no_header(record: logging.LogRecord) -> bool:
    """Whether a line of gRPC's may stand in our log: headers that are no text it repeats whole, and
    anybody may send those, with a secret in them or a thousand a second.
    """
    return not str(record.msg).startswith("Invalid encoding")


def _end_with(failure: threading.ExceptHookArgs) -> None:
    """A thread that dies takes the service with it, as the rest would wait for it for ever.

    Nothing is lost by that: clients send again what was not acknowledged.
    """
    name = failure.thread.name if failure.thread is not None else "?"
    value = failure.exc_value
    logger.critical("the thread %s failed, so the service ends", name, exc_info=value)
    logging.shutdown()
    os._exit(1)


async def _serve_until_signal(config: ServiceConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(config)
    loop.add_signal_handler(signal.SIGHUP, server.renew)
    threading.excepthook = _end_with
    await server.start()
    gc.freeze()  # what is there by now stays: to look through it each time took a tenth of a second
    try:
        await stop.wait()
    finally:
        await server.stop()


class Server:
    """One service in this process. `grpc_port` and `http_port` are the ones that are bound."""

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        self._metrics = Metrics()
        self._readiness = Readiness((SERVICE, LOGS_SERVICE), self._stores, self._metrics)
        self._tasks: set[asyncio.Task[None]] = set()  # else they may be collected under way
        self.grpc_port = self.http_port = 0

    async def start(self) -> None:
        """Listen, load, and serve. Until all is loaded health says NOT_SERVING."""
        config = self._config
        loop = asyncio.get_running_loop()
        # Before they are loaded: what comes meanwhile is another model.
        self._seen = {name: look(path) for name, path in config.models.items()}
        read = {name: load_to_serve(path) for name, path in config.models.items()}
        models = {name: model for name, (model, _) in read.items()}
        for name, model in models.items():
            self._metrics.of(name).loaded(model)
        tokens = None if config.tokens is None else read_tokens(config.tokens)
        self._access = Access(tokens, self._metrics)
        self._certificate = certificate_of(config)
        self._store = Store(
            config.store,
            lines=config.lines,
            incidents_per_hour=config.incidents_per_hour,
        )
        try:
            self._store.claim()
            for model, files in read.values():
                self._store.keep_model(model.sha256, files)
            await self._start(models, loop)
        except BaseException:
            self._store.close()
            raise

    async def _start(self, models: dict[str, Model], loop: asyncio.AbstractEventLoop) -> None:
        config = self._config
        self._engine = Engine(
            models, self._store, config, self._metrics, self._alerts_changed(loop)
        )
        intake = LogIntake(self._engine, config.otlp_stream, config.otlp_model)
        self._reloader = Reloader(config.models, self._engine, self._store)
        self._servicer = Servicer(
            self._engine,
            self._store,
            self._metrics,
            intake,
            self._access,
            version=_version(),
            grace_seconds=config.grace_seconds,
        )
        self._operations = Operations(
            self._engine, self._store, self._reloader, self._servicer.alerts_changed
        )
        self._tellers = [Teller(sink, self._metrics) for sink in self._sinks()]
        await self._readiness.load()
        posts = {LOGS_PATH: LogsOverHttp(intake, self._metrics).answer}
        certificate = self._certificate
        self._http = HttpServer(
            config.http,
            self._metrics,
            self._readiness.ready,
            posts,
            access=self._access,
            tls=None if certificate is None else lambda: certificate.http,
        )
        self.http_port = self._http.port
        try:
            self._grpc = await self._listen()
            await asyncio.to_thread(self._engine.start)
            for teller in self._tellers:
                teller.start()
        except BaseException:
            self._http.stop()
            raise
        await self._readiness.begin()
        self._begin(self._readiness.watch())
        self._begin(show_shares(self._engine))
        if config.watch_model:
            for name, path in config.models.items():
                self._begin(watch(path, self._seen[name], partial(self._reload, name)))
        notify("READY=1")
        host, _ = split_address(config.grpc)
        web, _ = split_address(config.http)
        scheme = "http" if config.tls_cert is None else "https"
        what = ", ".join(f"{n}={path}" if n else str(path) for n, path in config.models.items())
        print(
            f"offscript: serving {what} on {host}:{self.grpc_port} (gRPC) and "
            f"{scheme}://{web}:{self.http_port}/metrics",
            file=sys.stderr,
            flush=True,
        )

    def renew(self) -> None:
        """Read tokens, certificate and models again, each if it is right; on the loop's thread."""
        if self._readiness.open:
            self._begin(self._renew())
        else:
            logger.warning("nothing is read again now: the service is not ready")

    async def stop(self) -> None:
        """Say so, let clients finish, score and store what was accepted, end."""
        notify("STOPPING=1")
        await self._readiness.end()
        self._servicer.drain()
        self._engine.hurry()
        await self._grpc.stop(self._config.grace_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.to_thread(self._reloader.close)
        await asyncio.to_thread(self._engine.stop)
        for teller in self._tellers:
            teller.end()
        for teller in self._tellers:
            await asyncio.to_thread(teller.stop)
        self._http.stop()
        self._store.close()

    async def _renew(self) -> None:
        tokens, certificate = self._config.tokens, self._certificate
        if tokens is not None:
            await self._read("token file", lambda: self._access.use(read_tokens(tokens)))
        if certificate is not None:
            await self._read("certificate", certificate.read)
        for name in self._config.models:
            await self._reload(name)

    async def _read(self, what: str, read: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(read)
        except OffscriptError as error:
            logger.warning("the %s is not taken, the last one holds: %s", what, error)
            return
        logger.info("the %s was read again", what)
        deed = Deed(time.time(), LOCAL, what, "read again at a hangup")
        await asyncio.to_thread(self._engine.note, deed)

    async def _reload(self, name: str, again: bool = False) -> bool:
        """Whether that is done with; not while it is the store that fails, as that will work again.

        What went wrong is in the log, and not `again` if it is the same.
        """
        try:
            await self._reloader.reload(name, again=again)
        except OffscriptError as error:
            return not isinstance(error, StoreError)
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sinks(self) -> list[Sink]:
        config = self._config
        sinks: list[Sink] = []
        if config.alertmanager is not None:
            sinks.append(Alertmanager(config.alertmanager, self._store))
        if config.webhook is not None:
            secret = None if config.webhook_secret is None else read_secret(config.webhook_secret)
            sinks.append(Webhook(config.webhook, self._store, secret=secret))
        return sinks

    async def _listen(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[Gate(self._access)],
            options=[
                ("grpc.so_reuseport", 0),  # else a second service would quietly share the port
                ("grpc.max_receive_message_length", LOGS_BYTES),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", _CALLS),  # of one client; it keeps the others back
                # Else what may be on its way of each stream grows past what is scored in seconds.
                ("grpc.http2.bdp_probe", 0),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.server_handshake_timeout_ms", 10_000),  # for one that says nothing
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
            ],
        )
        server.add_generic_rpc_handlers(self._servicer.handlers(self._operations))
        health_pb2_grpc.add_HealthServicer_to_server(self._readiness.health, server)
        names = (SERVICE, LOGS_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        self._check_free()
        self.grpc_port = self._open(server)
        await server.start()
        return server

    def _open(self, server: grpc.aio.Server) -> int:
        if self._certificate is None:
            return server.add_insecure_port(self._config.grpc)
        return server.add_secure_port(self._config.grpc, self._certificate.credentials())

    def _check_free(self) -> None:
        """gRPC's own complaint about an address in use is several lines of C++."""
        host, port = split_address(self._config.grpc)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.create_server((host.strip("[]"), port), family=family).close()
        except OSError as error:
            raise InputError(
                f"cannot listen on {self._config.grpc}: {os.strerror(error.errno or 0)}; stop what "
                "listens there, or choose another address with --grpc"
            ) from error

    def _stores(self) -> bool:
        """Whether alerts can be stored, as far as is known."""
        return self._engine.store_error is None

    def _alerts_changed(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; so have the watchers
                loop.call_soon_threadsafe(self._servicer.alerts_changed)

        return changed


def _version() -> str:
    try:
        return version("offscript")
    except PackageNotFoundError:
        return "unknown"
