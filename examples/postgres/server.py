"""A throw-away PostgreSQL server: found, started in a temporary folder, stopped."""

from __future__ import annotations

import glob
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

# Where distributions put the binaries, beside PATH.
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")

INITDB = (
    "--username=postgres",
    "--pwfile=password",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%c] ",
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_checkpoints": "off",
    "log_lock_waits": "off",
    "autovacuum": "off",
    "deadlock_timeout": "400ms",
    "max_parallel_workers_per_gather": "0",
    # It is thrown away afterwards, so nothing need survive a crash.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class ServerError(Exception):
    """There is no PostgreSQL to start, or it does not start."""


class Server:
    """A server in a folder of its own: `port`, `password` of the superuser postgres and of all who
    log in, `version` as in "PostgreSQL 15.4", `log`.
    """

    def __init__(self, folder: Path, port: int, settings: Mapping[str, str]) -> None:
        self._binaries, self._user = find_binaries(), _unprivileged()
        self.folder, self.log = folder, folder / "server.log"
        self.port, self.password = port, secrets.token_hex(16)
        self._settings = [f"-c{key}={value}" for key, value in {**SETTINGS, **settings}.items()]
        secret = folder / "password"
        secret.write_text(self.password)
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        made = self._run("initdb", "--pgdata=data", *INITDB, log=folder / "initdb.log")
        if made.wait() != 0:
            raise ServerError(f"initdb failed: {_last_line(folder / 'initdb.log')}")

    def start(self) -> None:
        """Start it on its port, and wait until it answers."""
        command = ("postgres", "-D", "data", f"-p{self.port}", *self._settings)
        self._process = self._run(*command, log=self.log)
        self.version = _await_ready(self._process, self.port, self.password, self.log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, with all that is connected: in good order, or by SIGQUIT at once."""
        self._process.send_signal(how)
        self._process.wait()

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=database,
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
        )

    def database(self) -> str:
        """The URL of a database that is made for it."""
        name = f"d{secrets.token_hex(16)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{name}"

    def read_log(self) -> bytes:
        """The log, once it has the end of every session that was let in.

        Call it when all connections are closed; the server notes their ends a little later.
        """
        for _ in range(100):
            text = self.log.read_bytes()
            open_ones = text.count(b"] LOG:  connection authorized: ")
            open_ones -= text.count(b"] LOG:  disconnection: ")
            if open_ones == 0:
                return text
            time.sleep(0.1)
        raise ServerError(f"the log lacks the ends of {open_ones} sessions after 10 seconds")

    def _run(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        # By `setpriv`, after exec: Popen's own `user` changes it before, which takes a fork, and in
        # a process with gRPC's threads its handlers of forks crash some of those.
        become = [] if self._user is None else ["setpriv", *_becoming(self._user)]
        # Appending, so that what many processes write stays whole lines.
        with log.open("ab") as output:
            return subprocess.Popen(
                [*become, self._binaries / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,  # an interrupt is ours to handle, not the server's
            )


def _becoming(user: pwd.struct_passwd) -> list[str]:
    return [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def find_binaries() -> Path:
    """The folder that has initdb and postgres; of several, the newest version's."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    found = [Path(match) for pattern in FOLDERS for match in glob.glob(pattern)]  # noqa: PTH207
    folders += sorted(found, key=_numbers, reverse=True)
    for folder in folders:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise ServerError(
        "no PostgreSQL server found on PATH or in /usr/lib/postgresql: "
        "install one, for example with `apt-get install postgresql`"
    )


@contextmanager
def running_server(**settings: str) -> Iterator[Server]:
    """A fresh server on a free port of the loopback, gone with all its data afterwards.

    Started as root it runs as `postgres` or `nobody`, because PostgreSQL refuses to run as root.
    `settings` go before SETTINGS.
    """
    with tempfile.TemporaryDirectory(prefix="offscript-postgres-") as name, socket.socket() as held:
        # Held and not listened on: nobody else is given it before the server listens there.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        server = Server(Path(name), held.getsockname()[1], settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", str(path))]


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom the server runs as; None for whoever runs this."""
    if os.geteuid() != 0:
        return None
    if shutil.which("setpriv") is None:
        raise ServerError("PostgreSQL does not run as root, and there is no setpriv (util-linux)")
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _await_ready(process: subprocess.Popen[bytes], port: int, password: str, log: Path) -> str:
    """The version of the server, once it answers."""
    waiting_until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < waiting_until:
        try:
            with psycopg.connect(
                host="127.0.0.1", port=port, user="postgres", password=password, dbname="postgres"
            ) as connection:
                number = connection.info.parameter_status("server_version") or ""
                return f"PostgreSQL {number.split()[0]}"
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise ServerError(f"the server does not start: {_last_line(log)}")


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
