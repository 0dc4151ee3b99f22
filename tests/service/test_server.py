"""A service as a process: how it starts, ends, is killed, and comes back."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from offscript.model.errors import InputError, ModelError, StoreError
from offscript.model.folder import load_model
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.client import Client
from offscript.service.config import ServiceConfig, split_address
from offscript.service.store import Store
from offscript.service.stored import Filter
from offscript.tests.service.receivers import until
from offscript.tests.service.versions import mixed, saved, untrained, without

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, OwnProcess

Lines = Callable[..., list[str]]


def alerts(config: ServiceConfig) -> set[str]:
    store = Store(config.store)
    found = {stored.alert.id for stored in store.alerts(Filter(), limit=100_000)}
    store.close()
    return found


@pytest.mark.parametrize("which", ["grpc", "http"])
def test_a_port_in_use_is_one_clear_line(
    config: ServiceConfig, in_process: InProcess, which: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"cannot listen on {address}: Address .*in use"):
            in_process(
                replace(config, grpc=address) if which == "grpc" else replace(config, http=address)
            )


def test_a_second_service_cannot_take_the_port_of_the_first(
    config: ServiceConfig, in_process: InProcess, tmp_path: Path
) -> None:
    with in_process(config) as first:
        second = replace(config, grpc=first.address, store=f"sqlite:///{tmp_path}/second.db")
        with pytest.raises(InputError, match="cannot listen on"):
            in_process(second)


def test_a_second_service_cannot_take_the_store_of_the_first(
    config: ServiceConfig, in_process: InProcess
) -> None:
    with in_process(config), pytest.raises(StoreError, match="in use by another service"):
        in_process(config)


def test_a_model_or_store_that_is_not_there_or_not_whole_is_one_clear_line(
    config: ServiceConfig, in_process: InProcess, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        in_process(replace(config, models={"": tmp_path / "none"}))
    model = load_model(config.models[""])
    mixed(model, without(model, model.vocabulary.names[-1]), tmp_path / "mixed")
    with pytest.raises(ModelError, match="reference.safetensors is not of this model"):
        in_process(replace(config, models={"": tmp_path / "mixed"}))
    saved(replace(model, weights=untrained(model).weights), tmp_path / "miscomputed")
    with pytest.raises(ModelError, match="golden event .* within 0.01: see that this machine"):
        in_process(replace(config, models={"": tmp_path / "miscomputed"}))
    with pytest.raises(StoreError, match="No such file or directory"):
        in_process(replace(config, store=f"sqlite:///{tmp_path}/none/alerts.db"))


@pytest.mark.parametrize(
    "address", ["0.0.0.0:50051", "[::]:50051", "192.0.2.1:1", "example.org:80"]
)
def test_outside_loopback_it_refuses_to_start_unless_told(address: str) -> None:
    with pytest.raises(InputError, match="--insecure"):
        ServiceConfig(models={"": Path("m")}, grpc=address)
    with pytest.raises(InputError, match="--insecure"):
        ServiceConfig(models={"": Path("m")}, http=address)
    assert ServiceConfig(models={"": Path("m")}, grpc=address, insecure=True).grpc == address


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "--tls-cert and --tls-key, and --tokens:"),
        ({"tokens": Path("t")}, "--tls-cert and --tls-key:"),
        ({"tls_cert": Path("c"), "tls_key": Path("k")}, "needs --tokens:"),
    ],
)
def test_outside_loopback_it_says_what_is_missing(given: dict[str, Path], missing: str) -> None:
    for address in ({"grpc": "0.0.0.0:50051"}, {"http": "0.0.0.0:9464"}):
        with pytest.raises(InputError, match=missing):
            ServiceConfig({"": Path("m")}, **address, **given)  # type: ignore[arg-type]
    everything = {"tls_cert": Path("c"), "tls_key": Path("k"), "tokens": Path("t")}
    assert ServiceConfig({"": Path("m")}, "0.0.0.0:50051", "0.0.0.0:9464", **everything)  # type: ignore[arg-type]


def test_half_of_tls_is_refused() -> None:
    with pytest.raises(InputError, match="--tls-cert and --tls-key together"):
        ServiceConfig({"": Path("m")}, tls_cert=Path("c"))
    with pytest.raises(InputError, match="--client-ca needs TLS"):
        ServiceConfig({"": Path("m")}, client_ca=Path("c"))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", ":50051", "localhost:http", "localhost:70000", ""]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected an address like 127"):
        split_address(address)


def test_addresses_are_split() -> None:
    assert split_address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert split_address("[::1]:9464") == ("[::1]", 9464)


def test_systemd_is_told_when_the_service_is_ready_and_when_it_stops(
    config: ServiceConfig,
    own_process: OwnProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        service = own_process(config)

        assert systemd.recv(100) == b"READY=1"
        service.terminate()
        assert systemd.recv(100) == b"STOPPING=1"


def test_a_stop_ends_open_streams_in_good_order(
    config: ServiceConfig, own_process: OwnProcess, session: Lines
) -> None:
    service = own_process(replace(config, grace_seconds=30.0))
    finish = threading.Event()
    replies: list[pb.ScoreBatch] = []

    def batches() -> Iterator[pb.EventBatch]:
        yield pb.EventBatch(seq=1, client="me", lines=session("0a", odd=True))
        finish.wait(30)

    with grpc.insecure_channel(service.address) as channel:
        stream = DetectorStub(channel).Score(batches())
        replies.append(next(stream))
        watch = DetectorStub(channel).WatchAlerts(pb.WatchAlertsRequest(since_micros=1))
        next(watch)
        stopper = threading.Thread(target=service.terminate)
        stopper.start()
        notice = next(stream)
        finish.set()
        assert list(stream) == []  # and OK
        with pytest.raises(grpc.RpcError) as caught:
            list(watch)
        stopper.join()

    assert notice.drain.grace_millis == 30_000
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert service.process.returncode == 0
    assert {alert.id for alert in replies[0].alerts} <= alerts(config)


def test_a_client_goes_on_across_a_restart(
    config: ServiceConfig, own_process: OwnProcess, session: Lines, address: str
) -> None:
    first = own_process(replace(config, grpc=address))
    events: list[int] = []
    said: list[str] = []
    with Client(
        address,
        acknowledged=lambda reply: events.append(reply.events),
        waiting=said.append,
    ) as client:
        for n in range(20):
            for line in session(f"{n:02x}"):
                client.line(line)
        assert client.flush(30)
        assert first.terminate() == 0
        for n in range(20, 40):
            for line in session(f"{n:02x}"):
                client.line(line)
        assert not client.flush(0.5)
        own_process(replace(config, grpc=address))
        assert client.flush(30)

    assert sum(events) == 200
    assert len(said) == 1
    assert "no answer from a service" in said[0]


def test_headers_that_are_no_text_stay_out_of_the_log(
    config: ServiceConfig, own_process: OwnProcess
) -> None:
    headers = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/no/method",
        b":authority": b"x",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
        b"authorization": b"Bearer \xff hunter2",
    }
    # HTTP/2 by hand, as clients of gRPC refuse to send such a header: literals of HPACK.
    block = b"".join(
        bytes([0, len(name)]) + name + bytes([len(value)]) + value
        for name, value in headers.items()
    )
    settings, call = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([0, 0, len(block), 1, 5, 0, 0, 0, 1])
    service = own_process(config)
    host, port = split_address(service.address)

    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + call + block)
        answers = connection.makefile("rb")
        while (frame := answers.read(9))[3] != 1:  # until the headers of the answer
            answers.read(int.from_bytes(frame[:3], "big"))
        answers.close()
    service.terminate()

    assert "hunter2" not in "".join(service.said)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_killed_service_loses_no_acknowledged_alert(
    config: ServiceConfig, own_process: OwnProcess, session: Lines, threads: int
) -> None:
    config = replace(config, threads=threads, checkpoint_seconds=0.0)
    acknowledged: set[str] = set()
    for number in range(2):  # killed, started on what is left, and killed again
        service = own_process(config)

        def batches(number: int = number) -> Iterator[pb.EventBatch]:
            for seq in range(1, 100_000):
                lines = session(f"{number}x{seq}", odd=seq % 2 == 0)
                yield pb.EventBatch(seq=seq, client=f"client {number}", lines=lines)

        seen = 0
        with grpc.insecure_channel(service.address) as channel, suppress(grpc.RpcError):
            for reply in DetectorStub(channel).Score(batches()):
                acknowledged |= {alert.id for alert in reply.alerts}
                seen += 1
                if seen == 90 + 80 * number:
                    service.kill()
        with closing(sqlite3.connect(config.store.removeprefix("sqlite:///"))) as file:
            assert file.execute("PRAGMA quick_check").fetchall() == [("ok",)]

    assert len(acknowledged) >= 100
    assert acknowledged <= alerts(config)


def test_a_store_of_a_killed_service_opens_again_with_its_streams(
    config: ServiceConfig, own_process: OwnProcess, session: Lines
) -> None:
    config = replace(config, checkpoint_seconds=0.0)
    first = own_process(config)
    with Client(first.address) as client:
        client.score_once(pb.EventBatch(seq=1, client="me", lines=session("0a")[:3]))
        store = Store(config.store)
        until(lambda: "seqs" in store.state("", 0))
        store.close()
    first.kill()
    second = own_process(config)
    with Client(second.address) as client:
        again = client.score_once(pb.EventBatch(seq=1, client="me", lines=session("0a")[:3]))
        rest = client.score_once(pb.EventBatch(seq=2, client="me", lines=session("0a")[3:]))

    assert again.repeated_batch
    assert (rest.events, len(rest.alerts)) == (2, 0)


def test_a_thread_that_dies_takes_the_service_with_it(tiny_model: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from offscript.service.config import ServiceConfig\n"
        "from offscript.service.server import serve\n"
        "from offscript.service.shard import Shard\n"
        "Shard._end_idle = lambda shard: 1 / 0\n"
        f"store = 'sqlite:///{tmp_path}/alerts.db'\n"
        f"model = Path({str(tiny_model)!r})\n"
        "sys.exit(serve(ServiceConfig({'': model}, '127.0.0.1:0', '127.0.0.1:0', store)))\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )

    assert run.returncode == 1
    assert "the thread scorer-0 failed, so the service ends" in run.stderr
    assert "ZeroDivisionError" in run.stderr


def test_a_service_that_starts_in_good_order_says_where_it_serves_and_no_more(
    tiny_model: Path, tmp_path: Path
) -> None:
    addresses = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    store = ("--store", f"sqlite:///{tmp_path}/alerts.db")
    process = subprocess.Popen(
        [sys.executable, "-m", "offscript.cli", "serve", tiny_model, *addresses, *store],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=60)

    assert first.startswith("offscript: serving ")
