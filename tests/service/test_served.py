"""Several models in one service, as those see it who send to it, ask it and keep it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from offscript.cli import main
from offscript.model.errors import NotFoundError
from offscript.model.folder import Model, load_model
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.service import watch as watch_module
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.store import Store
from offscript.tests.service.engines import sessions
from offscript.tests.service.otlp_requests import export, record, request
from offscript.tests.service.receivers import until
from offscript.tests.service.versions import renumbered, saved

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess, OwnProcess, Running

Lines = Callable[..., list[str]]
ROUND = [
    "poller: round 1 started",
    "probe: disk ok in 4 ms",
    "probe: net ok in 7 ms",
    "poller: round 1 finished",
]


def daemon(minute: int = 0) -> list[str]:
    """Lines as the endless model knows them."""
    return [f"2026-03-02 12:{minute:02d}:{n:02d}.000 {text}" for n, text in enumerate(ROUND)]


@pytest.fixture
def both(config: ServiceConfig, tiny_model: Path, tiny_endless_model: Path) -> ServiceConfig:
    return replace(config, models={"shop": tiny_model, "daemon": tiny_endless_model})


@pytest.fixture
def served(both: ServiceConfig, in_process: InProcess) -> Iterator[Running]:
    with in_process(both) as running:
        yield running


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def code_of(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    assert "\n" not in error.details()
    return error.code().name, error.details()


def test_each_model_scores_what_names_it_and_the_first_what_names_none(
    served: Running, session: Lines
) -> None:
    replies: dict[str, list[pb.ScoreBatch]] = {"": [], "shop": [], "daemon": []}
    for name, answers in replies.items():
        with Client(served.address, model=name, acknowledged=answers.append) as client:
            for line in daemon() if name == "daemon" else session(f"0{name}"):
                client.line(line)
    with Client(served.address) as client:
        assert list(client.alerts()) == []
        described = {name: client.describe(name) for name in replies}

    assert {name: sum(r.events for r in answers) for name, answers in replies.items()} == {
        "": 5,
        "shop": 5,
        "daemon": 4,
    }
    assert [described[name].name for name in replies] == ["shop", "shop", "daemon"]
    assert described[""].served == ["shop", "daemon"]
    assert described["daemon"].endless
    assert described["shop"].sha256 != described["daemon"].sha256


def test_an_unknown_name_is_answered_with_those_that_are_served(
    served: Running, session: Lines
) -> None:
    said = "there is no model 'web' here; served are: shop, daemon"
    with (
        grpc.insecure_channel(served.address) as channel,
        Client(served.address) as client,
    ):
        stub = DetectorStub(channel)
        batches = [
            pb.EventBatch(seq=1, client="me", lines=session("0a"), model="shop"),
            pb.EventBatch(seq=2, client="me", lines=session("0b"), model="web"),
        ]
        answers = stub.Score(iter(batches))

        assert next(answers).events == 5  # what came before is acknowledged
        assert code_of(lambda: next(answers)) == ("NOT_FOUND", said)
        assert code_of(lambda: stub.ScoreOnce(batches[1])) == ("NOT_FOUND", said)
        assert code_of(lambda: stub.Reload(pb.ReloadRequest(model="web"))) == ("NOT_FOUND", said)
        with pytest.raises(NotFoundError, match="served are: shop, daemon"):
            client.describe("web")
        with (
            pytest.raises(NotFoundError, match="served are: shop, daemon"),
            Client(served.address, model="web") as lost,
        ):
            lost.line(session("0c")[0])
        long = pb.EventBatch(lines=session("0b"), model="x" * 65)
        assert code_of(lambda: stub.ScoreOnce(long))[0] == "INVALID_ARGUMENT"
        batches[1].model = "shop"
        again = stub.ScoreOnce(batches[1])
        assert (again.events, again.repeated_batch) == (5, False)


def test_a_service_of_one_model_without_a_name_says_so(running: Running, session: Lines) -> None:
    with Client(running.address) as client, pytest.raises(NotFoundError, match="has no name"):
        client.score_once(pb.EventBatch(lines=session("0a"), model="shop"))


def test_what_is_suppressed_of_one_model_is_heard_of_another(
    tiny_model: Path,
    config: ServiceConfig,
    in_process: InProcess,
    tmp_path: Path,
    session: Lines,
) -> None:
    twins = replace(
        config, models={"a": tiny_model, "b": tiny_model}, store=f"sqlite:///{tmp_path}/twins.db"
    )
    with in_process(twins) as running, Client(running.address) as client:
        for name in ("a", "b"):
            client.score_once(pb.EventBatch(lines=session("0a", odd=True), model=name))
        alert = next(a for a in client.alerts(model="a") if a.observed == "<new>")
        wish = pb.Wish(everywhere=True, seconds=3600)
        quiet = client.feedback(alert.id, "normal", suppress=wish).suppression
        for name in ("a", "b"):
            client.score_once(pb.EventBatch(lines=session("0b", odd=True), model=name))
        heard = [a.model_name for a in client.alerts() if a.observed == "<new>"]
        explained = client.explain(alert.id)

        assert quiet.model_name == "a"
        assert sorted(heard) == ["a", "b", "b"]  # of a, only the one that was judged
        assert {similar.model_name for similar in explained.similar} == {"a"}
        assert "model  a\n" in explained.text
        assert any("everywhere of a for" in deed.what for deed in client.deeds())


def test_commands_say_which_model_they_mean(
    served: Running,
    model: Model,
    session: Lines,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def offscript(*words: object) -> list[str]:
        assert main([*map(str, words), "--to", served.address]) == 0
        return capsys.readouterr().out.splitlines()

    log, newer = tmp_path / "shop.log", saved(renumbered(model), tmp_path / "newer")
    log.write_text("\n".join(session("0a", odd=True)))
    (sent,) = offscript("send", log, "--model", "shop")
    (first, *_) = offscript("alerts", "--model", "shop")
    (record,) = offscript("feedback", first.split()[0], "normal", "--suppress", "stream")[1:]
    (reloaded,) = offscript("reload", tmp_path / "newer", "--model", "shop")

    assert "5 events scored" in sent
    assert "  shop 0a  " in first
    assert "in 0a of shop" in record
    assert offscript("alerts", "--model", "daemon") == []
    assert f"serving model {newer.sha256[:12]}" in reloaded
    assert main(["send", str(log), "--model", "web", "--to", served.address]) == 2
    assert capsys.readouterr().err.endswith(
        "offscript: there is no model 'web' here; served are: shop, daemon\n"
    )


def test_one_model_is_reloaded_by_its_name_while_the_other_is_sent_to(
    both: ServiceConfig, in_process: InProcess, model: Model, session: Lines, tmp_path: Path
) -> None:
    newer = saved(renumbered(model), tmp_path / "newer")
    with in_process(both) as running, Client(running.address) as admin:
        daemon_before, stop = admin.describe("daemon").sha256, False
        sends = threading.Event()

        def send() -> int:
            sent = 0
            with Client(running.address, model="daemon") as client:
                while not stop:
                    for line in daemon(sent % 60):
                        client.line(line)
                    assert client.flush(30)
                    sent += 1
                    sends.set()
            return sent

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            assert sends.wait(30)
            admin.score_once(pb.EventBatch(lines=session("0a")[:2], model="shop"))
            done = admin.reload(tmp_path / "newer", model="shop")
            stop = True
            assert sending.result(60) > 0
        rest = admin.score_once(pb.EventBatch(lines=session("0a")[2:], model="shop"))
        page = running.server._metrics.text().decode()

        assert (done.sha256, done.carried, done.tried) == (newer.sha256, 1, 2)
        assert rest.alerts == []
        assert admin.describe("shop").sha256 == newer.sha256
        assert admin.describe("daemon").sha256 == daemon_before
        assert "shop: serving" in next(admin.deeds()).what
        assert f'model_info{{model="daemon",sha256="{daemon_before}"}} 1.0' in page
        assert f'model_info{{model="shop",sha256="{newer.sha256}"}} 1.0' in page
        assert page.count("offscript_model_info{") == 2
        assert 'offscript_reloads_total{model="shop",outcome="loaded"} 1.0' in page
        assert 'offscript_reloads_total{model="daemon",outcome="loaded"} 0.0' in page


def test_each_watched_model_is_served_when_it_lies_in_its_own_folder(
    both: ServiceConfig,
    in_process: InProcess,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "_SECONDS", 0.1)
    saved(model, tmp_path / "own")
    config = replace(both, models={**both.models, "shop": tmp_path / "own"}, watch_model=True)
    with in_process(config) as running, Client(running.address) as client:
        others = client.describe("daemon").sha256
        newer = saved(model, tmp_path / "own", version=1)
        until(lambda: client.describe("shop").sha256 == newer.sha256, 60.0)

        assert client.describe("daemon").sha256 == others


def test_log_records_go_to_the_model_that_their_attribute_names(
    both: ServiceConfig, in_process: InProcess, session: Lines
) -> None:
    config = replace(both, otlp_model="service.name")
    shop = [record(line, second=n) for n, line in enumerate(session("0a", odd=True))]
    rounds = [record(line, second=n, service_name="daemon") for n, line in enumerate(daemon())]
    strange = [record(line, service_name="web") for line in session("0b")]
    with (
        in_process(config) as running,
        grpc.insecure_channel(running.address) as channel,
        Client(running.address) as client,
    ):
        answer = export(channel, request([*shop, *rounds, *strange, record("no key")]))
        again = export(channel, request([*shop, *rounds, *strange, record("no key")]))
        found = {(alert.model_name, alert.stream) for alert in client.alerts()}
        page = running.server._metrics.text().decode()

    assert again == answer
    assert answer.partial_success.rejected_log_records == 6
    assert answer.partial_success.error_message == (
        "log records not scored: 5 whose service.name is no model's name; served are: shop, "
        "daemon; 1 with no stream key in the body (--otlp-stream makes one of attributes)"
    )
    assert found == {("shop", "0a")}
    for name, outcome, count in [
        ("shop", "scored", 5),
        ("shop", "unknown_model", 5),
        ("shop", "unkeyed", 1),
        ("daemon", "scored", 4),
        ("daemon", "repeated", 4),
    ]:
        line = f'offscript_events_total{{model="{name}",outcome="{outcome}"}} {count}.0'
        assert line in page, line


def test_a_killed_service_goes_on_with_the_streams_of_each_model(
    both: ServiceConfig, own_process: OwnProcess, session: Lines
) -> None:
    config = replace(both, checkpoint_seconds=0.0)
    first = own_process(config)
    with Client(first.address) as client:
        for name, lines in (("shop", session("0a")), ("daemon", daemon())):
            client.score_once(pb.EventBatch(seq=1, client="me", lines=lines[:2], model=name))
        store = Store(config.store)
        until(lambda: all("seqs" in store.state(name, 0) for name in config.models))
        store.close()
    first.kill()
    swapped = dict(zip(config.models, reversed(list(config.models.values())), strict=True))
    second = own_process(replace(config, models=swapped))
    with Client(second.address) as client:
        batch = pb.EventBatch(seq=1, client="me", lines=session("0a"), model="daemon")
        fresh = client.score_once(batch)
    second.kill()

    assert (fresh.events, fresh.repeated_batch, len(fresh.alerts)) == (5, False, 0)
    assert sum("belong to another model" in line for line in second.said) == 2


def test_twenty_models_are_served(
    config: ServiceConfig,
    in_process: InProcess,
    tiny_model: Path,
    session: Lines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = [f"m{n}" for n in range(20)]
    many = replace(config, models=dict.fromkeys(names, tiny_model))
    with (
        caplog.at_level(logging.WARNING),
        in_process(many) as running,
        Client(running.address) as client,
    ):
        for name in names:
            lines = sessions(session, 5)
            client.score_once(pb.EventBatch(lines=lines, model=name))
        found = [alert.model_name for alert in client.alerts() if alert.observed == "<new>"]

    assert sorted(found) == sorted(names)
    assert caplog.records == []
