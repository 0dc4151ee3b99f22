"""`offscript send`: logs and pipes arrive whole, and what cannot arrive is said."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from offscript.cli import main
from offscript.model.errors import InputError, LogError
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.send import Sent, send

if TYPE_CHECKING:
    from offscript.tests.service.conftest import OwnProcess, Running

Lines = Callable[..., list[str]]
Sender = Callable[[str, str], "subprocess.Popen[str]"]
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def shop(tmp_path: Path, session: Lines) -> Path:
    path = tmp_path / "shop.log"
    lines = [line for n in range(100) for line in session(f"{n:04x}", odd=n == 50)]
    path.write_text("\n".join(lines) + "\n  goes on\n")
    return path


def test_a_log_is_sent_whole(running: Running, shop: Path) -> None:
    reported: list[int] = []

    sent = send([shop], running.address, progress=lambda so_far: reported.append(so_far.events))

    assert (sent.lines, sent.events, sent.continuations, sent.unkeyed) == (501, 500, 1, 0)
    assert sent.alerts >= 1
    assert reported[-1] == 500


def test_a_log_without_any_event_is_an_error_that_counts_what_came(
    running: Running, tmp_path: Path
) -> None:
    path = tmp_path / "other.log"
    path.write_text("2026-03-02 12:00:00.000 no session here\n" * 150 + "  goes on\n")

    with pytest.raises(InputError, match="no line is an event to this model: 150 without its stre"):
        send([path], running.address)


def test_a_live_log_without_any_event_is_said_before_it_ends(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.log"
    path.write_text("2026-03-02 12:00:00.000 no session here\n" * 5000)
    said: list[str] = []

    with path.open() as pipe, pytest.raises(InputError, match="5,000 without its stream key"):
        monkeypatch.setattr("sys.stdin", pipe)
        send([Path("-")], running.address, say=said.append)

    assert len(said) == 1
    assert "without its stream key" in said[0]


def test_a_line_without_end_is_cut_and_sent(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_text("2026-03-02 12:00:00.000 session=0a admin: console opened " + "x" * 200_000)

    assert send([path], running.address).events == 1


def test_lines_before_the_damage_of_a_log_are_sent(
    running: Running, tmp_path: Path, session: Lines
) -> None:
    path = tmp_path / "cut.log.gz"
    whole = gzip.compress(random.Random(0).randbytes(100_000).hex().encode())
    path.write_bytes(
        gzip.compress("\n".join(session("0a", odd=True)).encode() + b"\n") + whole[:90]
    )

    with pytest.raises(LogError, match="cut off or damaged"):
        send([path], running.address)

    with Client(running.address) as client:
        assert {alert.stream for alert in client.alerts()} == {"0a"}


def test_sequences_are_sent_by_name_with_their_ends(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    rows = [
        {"id": "s1", "events": ["a", "b"], "t": [1772452800.0, 1772452801.0]},
        {"id": "s2", "events": ["a"], "t": None},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    sent = send([path], running.address)

    assert (sent.lines, sent.events) == (2, 3)
    with Client(running.address) as client:
        assert {alert.stream for alert in client.alerts()} == {"s1", "s2"}
    for wrong in ("not json", '{"id": 1}', '{"id": 1, "events": ["a"], "t": [1.0, 2.0]}'):
        path.write_text(json.dumps(rows[0]) + f"\n{wrong}\n")
        with pytest.raises(InputError, match="line 2: expected"):
            send([path], running.address)


def test_an_empty_input_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()

    with pytest.raises(LogError, match="empty"):
        send([tmp_path / "empty.log"], NOWHERE)


def test_a_log_that_cannot_be_read_is_one_clear_line(running: Running, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        send([tmp_path / "none.log"], running.address)
    with pytest.raises(LogError, match="cannot follow"):
        send([tmp_path / "none.log"], running.address, follow=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-", "--follow"], "--follow is for files, got -"),
        (["app.log", "--position", "p"], "--position says how far .* give --follow too"),
        (["app.log", "--drop-after", "1"], "--drop-after is for standard input"),
        (["-", "--drop-after", "-1"], "expected seconds for --drop-after, got -1.0"),
        (["-", "--drop-after", "nan"], "expected seconds for --drop-after, got nan"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", *words, "--to", NOWHERE]) == 2
    assert re.fullmatch(f"offscript: {said}.*\n", capsys.readouterr().err)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[str]]:
    """The end of standard input that one writes to."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as source, os.fdopen(writing, "w") as program:
        monkeypatch.setattr("sys.stdin", source)
        yield program


def test_who_writes_into_a_pipe_goes_on_without_a_service_and_what_is_lost_is_counted(
    pipe: IO[str], session: Lines
) -> None:
    said: list[str] = []
    results: list[Sent] = []
    thread = threading.Thread(
        target=lambda: results.append(send([Path("-")], NOWHERE, drop_seconds=0.3, say=said.append))
    )
    thread.start()
    for number in range(8000):
        pipe.write("\n".join(session(f"{number:04x}")) + "\n")
    pipe.close()
    thread.join(60)

    assert (results[0].lines, results[0].dropped) == (40_000, 40_000)
    assert sorted(line.split(";")[0] for line in said) == [
        f"no answer from a service at {NOWHERE}: Connection refused",
        "the service has acknowledged nothing for 0.3 s",
    ]


@pytest.mark.slow
def test_lines_are_dropped_only_until_the_service_is_there_again(
    config: ServiceConfig, own_process: OwnProcess, pipe: IO[str], session: Lines, address: str
) -> None:
    said: list[str] = []
    results: list[Sent] = []
    thread = threading.Thread(
        target=lambda: results.append(send([Path("-")], address, drop_seconds=3.0, say=said.append))
    )
    thread.start()
    for number in range(8000):
        pipe.write("\n".join(session(f"{number:04x}")) + "\n")
    pipe.flush()
    while len(said) < 2:
        time.sleep(0.01)
    own_process(replace(config, grpc=address))
    number = 8000
    while len(said) < 3:
        pipe.write("\n".join(session(f"{number:04x}")) + "\n")
        pipe.flush()
        number += 1
        time.sleep(0.01)
    pipe.close()
    thread.join(60)

    (sent,) = results
    assert 0 < sent.dropped < 40_000
    assert sent.events == sent.lines - sent.dropped == 5 * number - sent.dropped
    assert said[2] == f"there is room again; {sent.dropped:,} lines were dropped"


def test_a_pipe_that_lost_lines_says_so_at_the_end(
    pipe: IO[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pipe.write("one\ntwo\n")
    pipe.close()

    assert main(["send", "-", "--to", NOWHERE, "--drop-after", "0"]) == 1
    assert capsys.readouterr().err.endswith("offscript: 2 lines were dropped or not acknowledged\n")


SEND = """
import signal
import sys
from pathlib import Path
from offscript.service.send import send
# A test run in the background of a shell hands down that SIGINT is to be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sent = send(
    [Path(sys.argv[2])],
    sys.argv[1],
    follow=sys.argv[2] != "-",
    progress=lambda sent: print(sent.events, flush=True),
)
print("interrupted" if sent.interrupted else "done")
"""


@pytest.fixture
def sender() -> Iterator[Sender]:
    """Starts processes that send; they print how many events were acknowledged so far."""
    started: list[subprocess.Popen[str]] = []

    def start(to: str, source: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", SEND, to, source], stdin=pipe, stdout=pipe, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def wait_for(process: subprocess.Popen[str], said: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == f"{said}\n":
            return
    pytest.fail(f"it ended without {said}")


def test_a_live_pipe_is_sent_as_it_comes(running: Running, sender: Sender, session: Lines) -> None:
    process = sender(running.address, "-")
    for number, line in enumerate(session("0a"), 1):
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        wait_for(process, str(number))
    assert process.stdin is not None
    process.stdin.close()

    wait_for(process, "done")
    assert process.wait(30) == 0


def test_a_followed_log_is_read_on_as_it_grows_and_when_it_is_replaced(
    running: Running, sender: Sender, tmp_path: Path, session: Lines
) -> None:
    path = tmp_path / "app.log"
    path.write_text("\n".join(session("01")) + "\n")
    process = sender(running.address, str(path))
    wait_for(process, "5")
    with path.open("a") as file:
        file.write("\n".join(session("02")) + "\n")
    wait_for(process, "10")
    path.rename(tmp_path / "app.log.1")
    path.write_text("\n".join(session("03")) + "\n")
    wait_for(process, "15")
    process.send_signal(signal.SIGINT)

    wait_for(process, "interrupted")
    assert process.wait(30) == 0


def test_a_service_that_is_away_is_said_once_and_waited_for(
    config: ServiceConfig, own_process: OwnProcess, shop: Path, address: str
) -> None:
    said: list[str] = []
    results: list[Sent] = []
    thread = threading.Thread(target=lambda: results.append(send([shop], address, say=said.append)))
    thread.start()
    while not said:
        time.sleep(0.01)
    own_process(replace(config, grpc=address))
    thread.join(60)

    assert results[0].events == 500
    assert said == [f"no answer from a service at {address}: Connection refused; waiting for it"]
