"""A sender that is killed and started again sends every line once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.model.errors import InputError, LogError
from offscript.service.position import Position
from offscript.service.send import send

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Lines = Callable[..., list[str]]
Start = Callable[[], "subprocess.Popen[str]"]

SEND = """
import sys
from pathlib import Path
from offscript.service.send import send
log, position = map(Path, sys.argv[2:])
send(
    [log],
    sys.argv[1],
    follow=True,
    position=position,
    progress=lambda sent: print(sent.events, flush=True),
    say=lambda line: print(line, file=sys.stderr),
)
"""


class Log:
    """A log that grows by sessions, each with a key of its own."""

    def __init__(self, path: Path, session: Lines) -> None:
        self.path, self._session = path, session
        self.keys: list[str] = []
        path.touch()

    def grow(self, sessions: int, to: Path | None = None) -> None:
        new = [f"{number:05x}" for number in range(len(self.keys), len(self.keys) + sessions)]
        self.keys += new
        with (to or self.path).open("a") as file:
            file.writelines(f"{line}\n" for key in new for line in self._session(key))


@pytest.fixture
def log(tmp_path: Path, session: Lines) -> Log:
    return Log(tmp_path / "app.log", session)


@pytest.fixture
def position(tmp_path: Path) -> Path:
    return tmp_path / "position"


@pytest.fixture
def start(running: Running, log: Log, position: Path) -> Iterator[Start]:
    """Starts senders of the log, in processes of their own, that print how much was scored."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SEND, running.address, str(log.path), str(position)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def events(running: Running, outcome: str) -> int:
    with urllib.request.urlopen(f"{running.web}/metrics") as page:
        for line in page.read().decode().splitlines():
            if line.startswith("offscript_events_total{") and f'outcome="{outcome}"' in line:
                return int(float(line.rpartition(" ")[2]))
    raise AssertionError(f"no events {outcome}")


def each_scored_once(running: Running, log: Log) -> bool:
    """Whether each session has had its five events, and its beginning's mark."""
    (shard,) = running.server._engine.of()._shards
    sha256 = running.server._engine.of().model.sha256
    return {shard.recent(key, sha256)[0] for key in log.keys} == {6}


def wait_for(running: Running, log: Log) -> None:
    deadline = time.monotonic() + 60.0
    while events(running, "scored") < 5 * len(log.keys) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_sender_goes_on_where_it_was_and_no_line_is_lost_or_scored_twice(
    running: Running, log: Log, start: Start, position: Path
) -> None:
    rng = random.Random(0)
    for life in range(5):
        log.grow(3000)
        process = start()
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 5)):
            process.stdout.readline()
        if life == 2:  # it has yet to see this
            log.path.rename(log.path.with_suffix(".1"))
            log.grow(1000)
            time.sleep(rng.random())
        process.kill()
        process.wait()
        if life == 3:  # while there is none
            old = log.path.with_suffix(".2")
            log.path.rename(old)
            log.grow(10, to=old)
    log.grow(10)
    start()
    wait_for(running, log)

    assert events(running, "scored") == 5 * len(log.keys)
    assert each_scored_once(running, log)


def sent_by(position: Path, log: Path, said: list[str]) -> list[str]:
    """The lines that a sender with this position would send now."""
    kept = Position(position, said.append)
    try:
        return [line for each in kept.logs([log]) for _, line in each.lines()]
    finally:
        kept.close()


@pytest.fixture
def left(running: Running, log: Log, start: Start, position: Path) -> Log:
    """A log of which a sender has sent all that there was."""
    log.grow(2)
    process = start()
    wait_for(running, log)
    process.kill()
    process.wait()
    return log


def test_a_log_that_was_emptied_meanwhile_is_sent_from_its_beginning(
    left: Log, position: Path, session: Lines
) -> None:
    said: list[str] = []
    left.path.write_text("\n".join(session("later", minute=30)) + "\n")

    assert sent_by(position, left.path, said) == session("later", minute=30)
    assert len(said) == 1
    assert f"{left.path} as it was read last is gone" in said[0]


def test_of_a_log_that_was_renamed_meanwhile_the_rest_is_sent_first(
    left: Log, position: Path, session: Lines
) -> None:
    old = left.path.with_name("app.log-20260302")
    left.path.rename(old)
    left.grow(1, to=old)
    left.grow(1)

    assert sent_by(position, left.path, []) == session("00002") + session("00003")


def test_two_senders_do_not_share_a_position(left: Log, position: Path) -> None:
    kept = Position(position, pytest.fail)

    with pytest.raises(InputError, match=f"another process has the position {position}"):
        sent_by(position, left.path, [])
    kept.close()
    assert sent_by(position, left.path, []) == []


def test_a_position_stays_where_a_log_cannot_be_followed(
    left: Log, position: Path, session: Lines
) -> None:
    with pytest.raises(LogError, match="cannot follow"):
        sent_by(position, position.with_name("none.log"), [])
    left.grow(1)

    assert sent_by(position, left.path, []) == session("00002")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"files": [{"path": 1}], "batches": []}', '{"files": 1}', "\0"]
)
def test_what_holds_no_position_is_refused(content: str, position: Path) -> None:
    position.write_text(content)

    with pytest.raises(InputError, match=f"expected a position of offscript send in {position}: "):
        Position(position, pytest.fail)


def test_sequences_have_no_position(running: Running, log: Log, position: Path) -> None:
    log.path.write_text('{"id": 1, "events": ["a"]}\n')

    with pytest.raises(InputError, match="--position is for raw lines"):
        send([log.path], running.address, follow=True, position=position)
