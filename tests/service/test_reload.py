"""Another model is served, and no call, event or alert is lost; what is no good is not served."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from offscript.model.errors import ModelError
from offscript.model.folder import MANIFEST, Model, load_model
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.recent import Recent
from offscript.tests.service.engines import sessions
from offscript.tests.service.receivers import until
from offscript.tests.service.versions import mixed, renumbered, saved, untrained, without

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, Running

Lines = Callable[..., list[str]]


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def reloads(running: Running) -> dict[str, int]:
    counters = running.server._metrics.of("").reloads
    return {outcome: int(counter._value.get()) for outcome, counter in counters.items()}


def refused(stub: DetectorStub, path: object) -> tuple[str, str]:
    """Code and text that a reload ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        stub.Reload(pb.ReloadRequest(path=str(path)))
    call: Any = caught.value
    assert "\n" not in call.details()
    return call.code().name, call.details()


@pytest.mark.parametrize(("times", "threads"), [(3, 1), pytest.param(8, 3, marks=pytest.mark.slow)])
def test_reloads_under_load_fail_no_call_and_change_no_alert(
    model: Model,
    config: ServiceConfig,
    in_process: InProcess,
    session: Lines,
    tmp_path: Path,
    times: int,
    threads: int,
) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    saved(renumbered(model), paths[0])
    saved(model, paths[1], version=1)
    stop = threading.Event()
    sent: list[list[str]] = [[], [], []]

    def send(number: int) -> None:
        """Sessions in pieces of two lines, so that most are open when the model changes."""
        with Client(running.address, acknowledged=acknowledged.append) as sender:
            while not stop.is_set():
                keys = [f"{number}{len(sent[number]) + n:05x}" for n in range(10)]
                sent[number] += keys
                lines = [session(key, odd=n == 3) for n, key in enumerate(keys)]
                for piece in range(0, 5, 2):
                    for each in lines:
                        for line in each[piece : piece + 2]:
                            sender.line(line)
                    assert sender.flush(60)

    acknowledged: list[pb.ScoreBatch] = []

    def scored() -> int:
        return sum(reply.events for reply in acknowledged)

    with (
        in_process(replace(config, threads=threads)) as running,
        Client(running.address) as admin,
        ThreadPoolExecutor(3) as pool,
    ):
        senders: list[Future[None]] = [pool.submit(send, number) for number in range(3)]
        for n in range(times):
            # More than a round of one of them, in which a session goes off script.
            enough = scored() + 240
            until(lambda: scored() >= enough or any(each.done() for each in senders), 60.0)  # noqa: B023
            done = admin.reload(paths[n % 2])
            assert done.sha256 != done.before
        stop.set()
        for each in senders:
            each.result(60)
        found = list(admin.alerts())
        assert reloads(running) == {"loaded": times, "unchanged": 0, "refused": 0}

    keys = [key for own in sent for key in own]
    assert scored() == 5 * len(keys)
    odd = {key for own in sent for at, key in enumerate(own) if at % 10 == 3}
    assert {alert.stream for alert in found if alert.observed == "<new>"} == odd
    assert {alert.stream for alert in found} == odd
    assert len({alert.model for alert in found}) == 3


def test_an_alert_is_explained_by_its_model_when_another_is_served(
    running: Running, client: Client, model: Model, session: Lines, tmp_path: Path
) -> None:
    other = saved(renumbered(model), tmp_path / "b")
    client.score_once(pb.EventBatch(lines=session("0a", odd=True)))
    old = next(client.alerts(stream="0a"))
    before = client.explain(old.id)
    assert client.reload(tmp_path / "b").tried == 5
    client.score_once(pb.EventBatch(lines=session("0b", odd=True)))
    new = next(client.alerts(stream="0b"))

    # What came after it was scored by a model that serves no more.
    again = client.explain(old.id).text
    assert again.partition("What if")[0] == before.text.partition("What if")[0]
    assert client.explain(new.id).alert_id == new.id
    assert (old.model, new.model) == (model.sha256, other.sha256)
    assert client.describe().sha256 == other.sha256
    page = running.server._metrics.text().decode()
    assert re.findall(r'offscript_model_info{model="",sha256="(\w+)"}', page) == [other.sha256]


def test_a_model_without_alerts_is_not_kept_once_another_is_served(
    running: Running, client: Client, model: Model, tmp_path: Path
) -> None:
    store = running.server._store
    for version in range(3):
        saved(model, tmp_path / "next", version=version)
        client.reload(tmp_path / "next")
    until(lambda: len(store._models_in_use) == 1)

    assert store._models_in_use == [load_model(tmp_path / "next").sha256]


def test_the_same_model_again_is_no_change(
    running: Running, client: Client, stub: DetectorStub
) -> None:
    done = client.reload()

    assert done.sha256 == done.before == client.describe().sha256
    assert reloads(running) == {"loaded": 0, "unchanged": 1, "refused": 0}


def test_what_is_no_good_model_is_refused_and_the_other_goes_on(
    running: Running,
    client: Client,
    stub: DetectorStub,
    model: Model,
    session: Lines,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ("damaged", "cut", "pipe", "past", "bare", "short")
    damaged, cut, pipe, past, bare, short = (tmp_path / name for name in names)
    for path in (damaged, cut, pipe, past, bare, short):
        saved(model, path, version=1)
    reference = (short / "reference.safetensors").read_bytes()
    content = bytearray((damaged / "weights.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "weights.safetensors").write_bytes(content)
    (cut / MANIFEST).write_bytes((cut / MANIFEST).read_bytes()[:100])
    for file in (pipe / "config.json", past / "history.json"):
        file.unlink()
        os.mkfifo(file)
    (tmp_path / "loop").symlink_to("loop")
    (bare / "reference.safetensors").unlink()
    (short / "reference.safetensors").write_bytes(reference[:-8])
    mixed(model, without(model, "session=<*> admin: setting <*> written"), tmp_path / "mixed")
    saved(untrained(model), tmp_path / "untrained")
    louder = replace(model.weights, W_O=model.weights.W_O * np.float32(1.1))
    saved(replace(model, weights=louder), tmp_path / "miscomputed")
    client.score_once(pb.EventBatch(lines=sessions(session, 40)))
    cases = {
        damaged: "weights.safetensors is damaged or was changed",
        cut: "manifest.json is not JSON",
        pipe: "config.json is no file",
        past: "history.json is no file",
        bare: "reference.safetensors cannot be read (No such file",
        short: "reference.safetensors is damaged or was changed",
        tmp_path / "mixed": "reference.safetensors is not of this model: it holds means of",
        tmp_path / "none": "no model folder at",
        tmp_path: "holds no manifest.json",
        tmp_path / "loop": "loop",
        Path("/dev/null"): "no model folder at",
        Path("/" + "x" * 4000): "File name too long",
        tmp_path / "untrained": "raises alerts in 40 of the 40 streams",
        tmp_path / "miscomputed": "by the decoder that was trained, expected them within 0.01",
    }

    for path, said in cases.items():
        code, details = refused(stub, path)
        assert (code, said in details) == ("FAILED_PRECONDITION", True), details
        assert f"{model.sha256[:12]} goes on serving: {details}" in caplog.text
    assert client.describe().sha256 == model.sha256
    assert client.score_once(pb.EventBatch(lines=session("0b"))).events == 5
    assert reloads(running) == {"loaded": 0, "unchanged": 0, "refused": len(cases)}
    for name in ("none", "\udcff"):
        with pytest.raises(ModelError, match="no model folder"):
            client.reload(tmp_path / name)


@pytest.mark.parametrize("path", ["models/b", "~", "/a\0b", "/a\nb", "/" + "x" * 5000])
def test_what_is_no_absolute_path_is_the_callers_mistake(stub: DetectorStub, path: str) -> None:
    assert refused(stub, path)[0] == "INVALID_ARGUMENT"


def test_streams_that_cannot_go_on_are_told(
    running: Running,
    client: Client,
    model: Model,
    session: Lines,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    saved(without(model, "session=<*> admin: setting <*> written"), tmp_path / "b")
    client.score_once(pb.EventBatch(lines=[*session("0a")[:2], *session("0b")[:2]]))
    running.server._engine.of().recent = Recent()  # as if that were long ago
    client.score_once(pb.EventBatch(lines=session("0b")[2:3]))
    running.server._engine.of().recent = Recent()
    with caplog.at_level(logging.INFO):
        done = client.reload(tmp_path / "b")

    assert (done.carried, done.left) == (1, 1)
    assert "1 streams go on, 1 count as joined in the middle" in caplog.text


def test_many_at_once_take_their_turn(
    running: Running, client: Client, model: Model, tmp_path: Path
) -> None:
    for version in range(4):
        saved(model, tmp_path / str(version), version=version)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(client.reload, [tmp_path / str(n % 4) for n in range(16)]))

    assert len({reply.sha256 for reply in done}) == 4
    assert client.describe().sha256 in {reply.sha256 for reply in done}
    assert sum(reloads(running).values()) == 16


def test_those_that_wait_for_their_turn_hold_up_nothing_else(
    running: Running, client: Client, model: Model, tmp_path: Path
) -> None:
    saved(model, tmp_path / "b")
    with ThreadPoolExecutor(40) as pool:
        with running.server._engine.of()._shards[0].held():  # so that the first takes long
            waiting = [pool.submit(client.reload, tmp_path / "b") for _ in range(40)]
            time.sleep(0.5)
            assert list(client.alerts()) == []
            assert not any(each.done() for each in waiting)
        for each in waiting:
            each.result(100)

    assert reloads(running) == {"loaded": 1, "unchanged": 39, "refused": 0}
