"""The command line, as a user meets it: output and exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from offscript.cli import COMMANDS, main
from offscript.model.folder import load_model, save_model
from offscript.options import parser

SERVING = re.compile(r"on (\S+) \(gRPC\)")


Done = subprocess.CompletedProcess[str]
run_before: set[str] = set()


def offscript(*arguments: object, text: str | None = None) -> Done:
    """A command, the first time in a process of its own; to start one takes longer than most do."""
    words = [*map(str, arguments)]
    if words[0] in run_before and text is None:
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as said:
            status = main(words)
        return Done(words, status, out.getvalue(), said.getvalue())
    run_before.add(words[0])
    command = [sys.executable, "-m", "offscript.cli", *words]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def planted_log(tiny_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The normal log and, after it, sessions that go off its script."""
    path = tmp_path_factory.mktemp("planted") / "planted.log"
    lines = tiny_log.read_text().splitlines()
    for number in range(5):
        for second, message in enumerate(["backup: full run started", "admin: console closed"]):
            stamp = f"2026-03-01 23:0{number}:0{second}.000"
            lines.append(f"{stamp} session=bad{number:03d} {message}")
    lines.append("2026-03-02 23:00:00.000 session=last00 admin: console opened from 10.0.1.1")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    store = f"sqlite:///{folder / 'alerts.db'}"
    options = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", store]
    command = [sys.executable, "-m", "offscript.cli", "serve", str(tiny_model), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = None
    while found is None:
        line = process.stderr.readline()
        assert line, "the service ended"
        found = SERVING.search(line)
    yield found[1]
    process.terminate()
    assert process.wait(60) == 0
    process.stderr.close()


def first_alert(service: str, stream: str) -> str:
    """The newest alert of a stream as JSON; ends by silence are noticed a moment after the rest."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = offscript("alerts", "--to", service, "--stream", stream, "--json")
        if listed.stdout:
            return listed.stdout.splitlines()[0]
    raise AssertionError(f"no alert of {stream}: {listed}")


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.findall(r"^    (\w+)(?:  |$)", parser().format_help(), re.MULTILINE)
    assert set(COMMANDS) == set(listed)
    for name in COMMANDS:
        with pytest.raises(SystemExit, match="^0$"):
            main([name, "--help"])
        assert f"example: offscript {name}" in capsys.readouterr().out or name == "send"


def test_training_scoring_and_evaluating_find_the_planted_sessions(
    tiny_log: Path, planted_log: Path, tmp_path: Path
) -> None:
    model, alerts = tmp_path / "model", tmp_path / "alerts.jsonl"
    labels = tmp_path / "labels.csv"
    labels.write_text("".join(f"bad{number:03d},1\n" for number in range(5)))
    key = ("--stream-key", r"session=(\w+)")

    train = offscript("train", tiny_log, "--out", model, *key, "--steps", 100, "--newest")
    score = offscript("score", model, planted_log, "--out", alerts)
    evaluate = offscript("evaluate", model, planted_log, "--labels", labels)

    assert train.returncode == score.returncode == evaluate.returncode == 0, train.stderr
    assert "alerts on normal streams with one change: unchanged" in train.stdout
    assert "model written to" in train.stdout
    streams = {json.loads(line)["stream"] for line in alerts.read_text().splitlines()}
    assert {f"bad{number:03d}" for number in range(5)} <= streams
    assert "5/5" in evaluate.stdout
    assert "gram" in evaluate.stdout


def test_lines_sent_to_a_service_raise_alerts_that_are_explained(
    service: str, planted_log: Path, tmp_path: Path
) -> None:
    sent = offscript("send", planted_log, "--to", service)
    alert = json.loads(first_alert(service, "bad001"))
    explained = offscript("explain", alert["id"], "--to", service)
    as_json = offscript("explain", alert["id"], "--to", service, "--json")
    page = offscript("explain", alert["id"], "--to", service, "--html", tmp_path / "why.html")
    verdict = offscript("feedback", alert["id"], "normal", "--to", service, "--comment", "drill")
    offscript("feedback", alert["id"], "resolved", "--to", service, "--by", "ann")
    normal = offscript("alerts", "--to", service, "--status", "normal")

    assert sent.returncode == 0, sent.stderr
    assert "events scored" in sent.stdout
    assert len(explained.stdout.splitlines()) > 5, explained.stderr
    assert json.loads(as_json.stdout)["alert"] == alert["id"]
    assert page.stdout == f"page written to {tmp_path / 'why.html'}\n"
    assert alert["id"] in (tmp_path / "why.html").read_text()
    assert verdict.returncode == 0
    assert re.search(f"{alert['id'][:12]} .* .resolved.", normal.stdout)


@pytest.mark.slow
def test_a_kind_of_alert_is_kept_quiet_and_heard_again(service: str, planted_log: Path) -> None:
    lines = [line for line in planted_log.read_text().splitlines() if "bad004" in line]

    def raised(stream: str) -> str:
        text = "".join(f"{line}\n" for line in lines).replace("bad004", stream)
        offscript("send", "-", "--to", service, text=text)
        return offscript("alerts", "--to", service, "--stream", stream).stdout

    def quieted(alert: str) -> str:
        asked = ("--suppress", "everywhere", "--days", "2", "--by", "ann", "--comment", "drill")
        return offscript("feedback", alert, "normal", "--to", service, *asked).stdout

    first = raised("kind01")
    said = [quieted(line.split()[0]) for line in first.splitlines()]
    quiet = raised("kind02")
    stored = offscript("alerts", "--to", service, "--stream", "kind02", "--status", "suppressed")
    explained = offscript("explain", stored.stdout.split()[0], "--to", service)
    listed = offscript("suppressions", "--to", service)
    for line in listed.stdout.splitlines():
        offscript("suppressions", "--to", service, "--revoke", line.split()[0])

    asked = stored.stdout.split()[0]
    opened = offscript("feedback", asked, "open", "--to", service).stdout
    still = offscript("alerts", "--to", service, "--stream", "kind02", "--status", "open").stdout

    assert first
    assert (opened.startswith("recorded: "), opened.endswith("is open\n")) == (True, True)
    assert still.split()[0] == asked
    assert all("everywhere; kept 0 quiet  ann  drill" in one for one in said)
    assert not quiet
    assert "[suppressed]" in stored.stdout
    assert "The same kind of alert before or since" in explained.stdout
    assert "ann: drill" in explained.stdout
    assert len(listed.stdout.splitlines()) == len(said)
    assert "kept 1 quiet" in listed.stdout
    assert raised("kind03")


@pytest.mark.slow
def test_a_model_is_read_as_text_json_and_page(tiny_model: Path, tmp_path: Path) -> None:
    text = offscript("card", tiny_model)
    as_json = offscript("card", tiny_model, "--json")
    page = offscript("card", tiny_model, "--html", tmp_path / "card.html")

    assert text.returncode == 0, text.stderr
    assert "What does the work" in text.stdout
    assert json.loads(as_json.stdout)["n_layers"] == 2
    tables = offscript("card", tiny_model, "--tables", tmp_path / "tables.npz")
    assert tables.stdout.startswith("65 tables of ")
    assert page.stdout == f"page written to {tmp_path / 'card.html'}\n"
    assert (tmp_path / "card.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_a_path_is_damped_and_the_new_version_compared_and_served(
    service: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = str(tiny_model), str(tmp_path / "new")
    calls = [
        ["edit", old, "--out", new, "--head", "L1H1", "--by", "0.5"],
        ["card", old, "--diff", new, "--json"],
        ["reload", new, "--to", service],
        ["reload", old, "--to", service],
    ]

    said = [(main(call), capsys.readouterr().out) for call in calls]

    assert [status for status, _ in said] == [0, 0, 0, 0]
    assert "L1H1 damped by 50 %" in said[0][1]
    assert f"written to {new}; thresholds are those of the model before" in said[0][1]
    value = json.loads(said[1][1])
    assert (value["lost"], value["new"], len(value["heads"])) == ([], [], 8)
    assert not value["streams"]["rate_before"] > value["streams"]["rate_after"]


def test_a_pipe_can_be_sent(service: str, planted_log: Path) -> None:
    lines = "".join(planted_log.read_text().splitlines(keepends=True)[-3:])

    sent = offscript("send", "-", "--to", service, text=lines)

    assert sent.returncode == 0, sent.stderr
    assert "sent 3 lines" in sent.stdout


def test_a_sender_that_is_asked_to_stop_says_what_it_sent(service: str, planted_log: Path) -> None:
    lines = [line for line in planted_log.read_text().splitlines() if "bad003" in line]
    command, pipe = [sys.executable, "-m", "offscript.cli", "send", "-"], subprocess.PIPE
    process = subprocess.Popen([*command, "--to", service], stdin=pipe, stdout=pipe, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    for line in lines:
        process.stdin.write(line.replace("bad003", "live03") + "\n")
    process.stdin.flush()
    first_alert(service, "live03")

    process.terminate()

    assert process.wait(60) == 130
    assert "sent 2 lines: 2 events scored" in process.stdout.read()
    process.stdin.close()
    process.stdout.close()


def test_bad_input_is_answered_with_one_line_that_says_what_to_do(
    tiny_log: Path,
    tiny_model: Path,
    service: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = ("--out", tmp_path / "m")
    store = ("--store", f"sqlite:///{tmp_path}/alerts.db")
    (tmp_path / "empty.log").write_text("")
    (tmp_path / "other.log").write_text("2026-03-01 12:00:00.000 no session here\n")
    (tmp_path / "cut.log.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc")
    cases = {
        ("train", tmp_path / "nowhere.log", *out): "there is no such file",
        ("train", tmp_path / "empty.log", *out): "is empty",
        ("train", tmp_path / "cut.log.gz", *out): "cut off or damaged",
        ("train", tiny_log, *out, "--stream-key", "x(y"): "no regular expression",
        ("train", tiny_log, *out, "--stream-key", r"job=(\d+)"): "job=",
        ("train", tiny_log, *out, "--budget", "lots"): "say for example 5/day",
        ("train", tiny_log, "--out", tmp_path): "is not a model folder",
        ("score", tmp_path, tiny_log): "is not a model folder",
        ("score", tiny_model, tmp_path / "nowhere.log"): "there is no such file",
        ("evaluate", tiny_model, tiny_log): "--labels",
        ("serve", tmp_path / "nowhere"): "no model folder",
        ("card", tmp_path / "nowhere"): "no model folder",
        ("card", tiny_model, "--streams", tiny_log): "give the other one with --diff",
        ("card", tiny_model, "--diff", tiny_model, "--tables", "x"): "leave --figures and",
        ("card", tiny_model, "--tables", tmp_path / "no/where"): "No such file",
        ("edit", tiny_model, "--out", tmp_path, "--head", "L0H0"): "exists already",
        ("edit", tiny_model, "--out", tiny_model / "new", "--head", "L0H0"): "outside of it",
        ("edit", tiny_model, *out, "--head", "L9H9"): "a head from L0H0 to L1H3",
        ("edit", tiny_model, *out, "--rule", ""): "expected 'L0H2: earlier -> next'",
        ("edit", tiny_model, *out, "--head", "L0H0", "--by", 2): "expected a share above 0",
        ("edit", tiny_model, *out, "--bigram", "login ok -> nothing such"): "no event is called",
        ("serve", tiny_model, *store, "--grpc", service): "choose another address",
        ("serve", tiny_model, "--grpc", "0.0.0.0:0"): "--insecure",
        ("serve", tiny_model, *store, "--tokens", tmp_path / "empty.log"): "is open to others",
        ("token", tmp_path / "tokens", "ann", "--scopes", "root"): "of send, read, admin",
        ("alerts", "--to", service, "--cert", "own.pem"): "--cert and --key together",
        ("explain", "nothing", "--to", service): "nothing",
        ("reload", tmp_path / "nowhere", "--to", service): "no model folder",
        ("audit", "--since", "lately", "--to", service): "2026-03-01T12:00",
        ("suppressions", "--revoke", "nothing", "--to", service): "no suppression 'nothing'",
        ("feedback", "x", "normal", "--suppress", "stream", "--days", "0"): "expected --days",
        ("alerts", "--to", "nowhere"): "expected an address like",
        ("alerts", "--since", "lately", "--to", service): "2026-03-01T12:00",
        ("alerts", "--watch", "--status", "open", "--to", service): "leave out --status",
        ("alerts", "--parquet", "x", "--most", 5, "--to", service): "leave out --json and --most",
        ("send", tmp_path / "other.log", "--to", service): "1 without its stream key",
        ("score", tiny_model, tmp_path / "other.log"): "1 without its stream key",
        ("score", tiny_model, tiny_log, "--out", tmp_path / "no/where"): "No such file",
        ("train", tiny_log, "--out", "/dev/null/model"): "/dev/null: File exists",
    }

    for arguments, complaint in cases.items():
        status = main([str(argument) for argument in arguments])
        (line,) = capsys.readouterr().err.splitlines()
        assert status == 2, arguments
        assert line.startswith("offscript: "), arguments
        assert complaint in line, (arguments, line)


def test_another_model_is_served_and_who_did_it_is_listed(
    service: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serving = load_model(tiny_model)
    newer = replace(serving, summary={**serving.summary, "version": 1})  # that says the same
    model = save_model(newer, tmp_path / "next")

    assert [
        main([*arguments, "--to", service])
        for arguments in (
            ["reload"],
            ["reload", str(tmp_path / "next")],
            ["audit", "--most", "1"],
            ["reload", str(tiny_model)],
        )
    ] == [0] * 4

    unchanged, served, deed, *_ = capsys.readouterr().out.splitlines()
    assert unchanged.startswith("unchanged: model ")
    assert served.startswith(f"serving model {model.sha256[:12]} in place of ")
    assert re.fullmatch(r"[\d-]+ [\d:]+  local +  reload +serving .*/next, model .*", deed)


def test_a_reader_that_closes_early_is_no_error(tiny_model: Path, planted_log: Path) -> None:
    command = f"{sys.executable} -m offscript.cli score {tiny_model} {planted_log} | head -c 1"

    assert "Traceback" not in subprocess.getoutput(command)
