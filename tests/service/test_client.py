"""The client and `send`: what they are given arrives once, and what they ask is answered."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.model.errors import InputError, LogError, NotFoundError, OverloadError
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.outbox import Outbox
from offscript.service.send import Sent, send

if TYPE_CHECKING:
    from offscript.tests.service.conftest import OwnProcess, Running

Lines = Callable[..., list[str]]
Sender = Callable[[str, str], "subprocess.Popen[str]"]
NOWHERE = "127.0.0.1:1"


def test_events_gather_into_batches_of_one_kind() -> None:
    outbox = Outbox("me", window=8)
    outbox.add(stream="a", name="x", time_micros=1_000)
    outbox.add(stream="b", name="x", time_micros=1_500)
    outbox.add(stream="a", name="y", time_micros=900, started=True)
    outbox.add(stream=None, line="raw")
    connection = outbox.connect()
    named = outbox.next(connection, 0.0)
    raw = outbox.next(connection, 1.0)

    assert named is not None
    assert (named.seq, named.client) == (1, "me")
    assert list(named.streams) == ["a", "b"]
    assert list(named.stream_ix) == [0, 1, 0]
    assert list(named.names) == ["x", "y"]
    assert list(named.name_ix) == [0, 0, 1]
    assert named.base_time_micros == 1000
    assert list(named.time_delta_micros) == [0, 500, -600]
    assert list(named.started) == [0]
    assert raw is not None
    assert (raw.seq, list(raw.lines)) == (2, ["raw"])


def test_a_stream_that_begins_again_after_its_end_does_so_in_the_next_batch() -> None:
    outbox = Outbox("me", window=8)
    outbox.add(stream="a", name="x")
    outbox.end("a")
    outbox.add(stream="a", name="x")
    connection = outbox.connect()

    first, second = outbox.next(connection, 1.0), outbox.next(connection, 1.0)

    assert first is not None
    assert second is not None
    assert (list(first.name_ix), list(first.ended)) == ([0], [0])
    assert (list(second.name_ix), list(second.ended)) == ([0], [])


def test_what_is_not_acknowledged_is_sent_again_on_the_next_connection() -> None:
    outbox = Outbox("me", window=8)
    for n in range(3):
        outbox.add(stream=None, line=str(n))
        outbox.complete()
    first = outbox.connect()
    sent = [outbox.next(first, 0.0) for _ in range(3)]
    outbox.acknowledge(1)
    second = outbox.connect()

    assert [batch and batch.seq for batch in sent] == [1, 2, 3]
    assert outbox.next(first, 1.0) is None  # an old connection gets nothing more
    again = [outbox.next(second, 0.0) for _ in range(3)]
    assert [batch and batch.seq for batch in again] == [2, 3, None]


def test_a_client_sends_asks_and_judges(client: Client, session: Lines) -> None:
    for line in session("0b", odd=True):
        client.line(line)
    client.event("something unheard of", stream="0c", time=1772452800.0, started=True)
    client.end("0c")
    assert client.flush(30)

    listed = list(client.alerts(stream="0b"))
    explanation = client.explain(listed[0].id, checks=False)
    judged = client.feedback(listed[0].id, "normal", comment="planned", by="ann")

    assert {alert.stream for alert in client.alerts()} == {"0b", "0c"}
    assert explanation.alert_id == judged.id == listed[0].id
    assert [alert.id for alert in client.alerts(status="normal")] == [judged.id]
    assert client.describe().format == "text"


def test_a_watch_sees_what_another_client_raises(client: Client, session: Lines) -> None:
    watching = Client(client._address)
    first = threading.Event()
    seen: list[str] = []

    def watch() -> None:
        for alert in watching.watch(since=1.0):
            seen.append(alert.stream)
            first.set()

    thread = threading.Thread(target=watch)
    thread.start()
    for line in session("0b", odd=True):
        client.line(line)
    client.flush(30)

    assert first.wait(30)
    watching.close()
    thread.join()
    assert seen[0] == "0b"


def test_mistakes_are_told_in_our_own_errors(client: Client) -> None:
    with pytest.raises(NotFoundError, match="no alert 'nothing'"):
        client.explain("nothing")
    with pytest.raises(InputError, match="normal or anomalous"):
        client.feedback("nothing", "maybe")
    with pytest.raises(InputError, match="status open, normal or anomalous"):
        list(client.alerts(status="other"))
    with pytest.raises(InputError, match="expected one of event"):
        list(client.alerts(detector="other"))
    wrong = Client(client._address)
    wrong.event("x" * 70_000)
    with pytest.raises(InputError, match="at most 65536 characters"):
        wrong.flush(30)
    with pytest.raises(InputError, match="at most 65536 characters"):
        wrong.event("y")
    wrong.close()


def test_no_service_is_one_clear_line() -> None:
    with pytest.raises(OverloadError, match=f"no answer from a service at {NOWHERE}: "):
        Client(NOWHERE).describe()


@pytest.fixture
def shop(tmp_path: Path, session: Lines) -> Path:
    path = tmp_path / "shop.log"
    lines = [line for n in range(100) for line in session(f"{n:04x}", odd=n == 50)]
    path.write_text("\n".join(lines) + "\n  goes on\n")
    return path


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


def test_a_failure_of_whoever_listens_reaches_whoever_sends(
    running: Running, session: Lines
) -> None:
    def fails(_: object) -> None:
        raise BrokenPipeError

    client = Client(running.address, acknowledged=fails)
    for line in session("0a"):
        client.line(line)

    with pytest.raises(BrokenPipeError):
        client.flush(30)
    client.close()


def test_half_a_surrogate_pair_does_no_harm(client: Client) -> None:
    client.event("good", stream="a")
    client.event("bad \ud83d", stream="b \ud83d")
    client.line("session=0a worse \ud83d", stream="c")

    assert client.flush(30)
    assert {alert.stream for alert in client.alerts()} >= {"a", "b ?"}


def test_a_log_is_sent_whole(running: Running, shop: Path) -> None:
    reported: list[int] = []

    sent = send([shop], running.address, progress=lambda so_far: reported.append(so_far.events))

    assert (sent.lines, sent.events, sent.continuations, sent.unkeyed) == (501, 500, 1, 0)
    assert sent.alerts >= 1
    assert reported[-1] == 500


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


def test_a_log_that_cannot_be_read_is_one_clear_line(running: Running, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        send([tmp_path / "none.log"], running.address)
    with pytest.raises(LogError, match="cannot follow"):
        send([tmp_path / "none.log"], running.address, follow=True)


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
    config: ServiceConfig, own_process: OwnProcess, shop: Path
) -> None:
    first = own_process(config)
    first.terminate()
    said: list[str] = []
    results: list[Sent] = []
    thread = threading.Thread(
        target=lambda: results.append(send([shop], first.address, say=said.append))
    )
    thread.start()
    while not said:
        time.sleep(0.01)
    own_process(replace(config, grpc=first.address))
    thread.join(60)

    assert results[0].events == 500
    assert said == [
        f"no answer from a service at {first.address}: Connection refused; waiting for it"
    ]


def test_an_empty_input_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()

    with pytest.raises(LogError, match="empty"):
        send([tmp_path / "empty.log"], NOWHERE)
