"""The client and `send`: what they are given arrives once, and what they ask is answered."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from offscript.model.errors import InputError, LogError, NotFoundError, OverloadError
from offscript.service.client import Client
from offscript.service.outbox import Outbox
from offscript.service.send import Sent, send

Lines = Callable[..., list[str]]
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
    assert (named.streams, named.stream_ix) == (["a", "b"], [0, 1, 0])
    assert (named.names, named.name_ix) == (["x", "y"], [0, 0, 1])
    assert (named.base_time_micros, named.time_delta_micros) == (1000, [0, 500, -600])
    assert named.started == [0]
    assert raw is not None
    assert (raw.seq, raw.lines) == (2, ["raw"])


def test_a_stream_that_begins_again_after_its_end_does_so_in_the_next_batch() -> None:
    outbox = Outbox("me", window=8)
    outbox.add(stream="a", name="x")
    outbox.end("a")
    outbox.add(stream="a", name="x")
    connection = outbox.connect()

    assert [batch and list(batch.ended) for batch in (outbox.next(connection, 1.0),)] == [[0]]
    assert [batch and list(batch.ended) for batch in (outbox.next(connection, 1.0),)] == [[]]


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
    client.event("x" * 70_000)
    with pytest.raises(InputError, match="at most 65536 characters"):
        client.flush(30)
    with pytest.raises(InputError, match="at most 65536 characters"):
        client.event("y")


def test_no_service_is_one_clear_line() -> None:
    with pytest.raises(OverloadError, match=f"no answer from a service at {NOWHERE}: "):
        Client(NOWHERE).describe()


@pytest.fixture
def shop(tmp_path: Path, session: Lines) -> Path:
    path = tmp_path / "shop.log"
    lines = [line for n in range(100) for line in session(f"{n:04x}", odd=n == 50)]
    path.write_text("\n".join(lines) + "\n  goes on\n")
    return path


def test_a_log_is_sent_whole(running, shop: Path) -> None:  # type: ignore[no-untyped-def] # of the conftest
    reported: list[int] = []

    sent = send([shop], running.address, progress=lambda so_far: reported.append(so_far.events))

    assert (sent.lines, sent.events, sent.continuations, sent.unkeyed) == (501, 500, 1, 0)
    assert sent.alerts >= 1
    assert reported[-1] == 500


def test_sequences_are_sent_by_name_with_their_ends(running, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # of the conftest
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
    path.write_text(json.dumps(rows[0]) + "\nnot json\n")
    with pytest.raises(InputError, match="line 2: expected"):
        send([path], running.address)


def test_a_log_that_cannot_be_read_is_one_clear_line(running, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # of the conftest
    with pytest.raises(LogError, match="no such file"):
        send([tmp_path / "none.log"], running.address)
    with pytest.raises(LogError, match="cannot follow"):
        send([tmp_path / "none.log"], running.address, follow=True)


def test_a_live_pipe_is_sent_as_it_comes(running, session: Lines) -> None:  # type: ignore[no-untyped-def] # of the conftest
    program = (
        "import sys; from pathlib import Path; from offscript.service.send import send\n"
        "send([Path('-')], sys.argv[1], progress=lambda sent: print(sent.events, flush=True))\n"
    )
    lines = session("0a")
    with subprocess.Popen(
        [sys.executable, "-c", program, running.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        for number, line in enumerate(lines, 1):
            sender.stdin.write(line + "\n")
            sender.stdin.flush()
            assert sender.stdout.readline() == f"{number}\n"
        sender.stdin.close()
        assert sender.wait(30) == 0


def test_a_followed_log_is_read_on_as_it_grows_and_when_it_is_replaced(  # type: ignore[no-untyped-def] # of the conftest
    running, tmp_path: Path, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.log"
    path.write_text("\n".join(session("01")) + "\n")
    reached = {5: threading.Event(), 10: threading.Event(), 15: threading.Event()}
    results: list[Sent] = []

    def progress(sent: Sent) -> None:
        if sent.events in reached:
            reached[sent.events].set()

    class StopFollowing(KeyboardInterrupt):
        """What Ctrl-C raises in the thread that sends."""

    stop = threading.Event()
    pause = time.sleep

    def sleep(seconds: float) -> None:
        if stop.is_set():
            raise StopFollowing
        pause(seconds)

    monkeypatch.setattr("offscript.service.send.time.sleep", sleep)
    thread = threading.Thread(
        target=lambda: results.append(send([path], running.address, follow=True, progress=progress))
    )
    thread.start()
    assert reached[5].wait(30)
    with path.open("a") as file:
        file.write("\n".join(session("02")) + "\n")
    assert reached[10].wait(30)
    path.rename(tmp_path / "app.log.1")
    path.write_text("\n".join(session("03")) + "\n")
    assert reached[15].wait(30)
    stop.set()
    thread.join(30)

    assert (results[0].events, results[0].interrupted) == (15, True)


def test_a_service_that_is_away_is_said_once_and_waited_for(  # type: ignore[no-untyped-def] # of the conftest
    config, own_process, shop: Path
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
    from dataclasses import replace

    own_process(replace(config, grpc=first.address))
    thread.join(60)

    assert results[0].events == 500
    assert said == [
        f"no answer from a service at {first.address}: Connection refused; waiting for it"
    ]


def test_an_empty_input_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))

    with pytest.raises(LogError, match="empty"):
        send([Path("-")], NOWHERE)
