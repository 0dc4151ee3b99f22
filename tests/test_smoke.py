"""The whole path through the installed commands: train, score, serve, send, alerts, explain."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def offscript(*words: str | Path) -> str:
    """What a command prints; it must succeed. One that hangs says where before it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "offscript.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGKILL)  # what it has started holds its pipes too
        said, complained = process.communicate()
    assert process.returncode == 0, complained
    return said


@pytest.fixture
def odd_log(tiny_log: Path, tmp_path: Path) -> Path:
    """The normal log with one more session, in which things happen that belong to others."""
    messages = (
        "app: login ok for user 4711",
        "app: standard cart opened",
        "admin: setting 3 written",
        "kernel: module unloaded",
        "app: logout user 4711",
    )
    path = tmp_path / "odd.log"
    shutil.copy(tiny_log, path)
    with path.open("a", encoding="utf-8") as file:
        for second, message in enumerate(messages):
            file.write(f"2026-03-01 15:30:{second:02d}.000 session=odd0001 {message}\n")
    return path


def test_help_names_every_command_without_loading_torch() -> None:
    code = "import sys; from offscript.cli import main\ntry: main(['--help'])\n"
    code += "except SystemExit: print('torch' in sys.modules, 'numba' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.endswith("False False\n")
    for command in ("train", "evaluate", "score", "serve", "send", "alerts", "explain", "demo"):
        assert re.search(rf"^\s+{command}\b", run.stdout, re.MULTILINE)


@pytest.mark.slow
def test_a_log_is_learned_and_an_odd_session_is_found_in_files_and_by_the_service(
    tiny_log: Path, odd_log: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    offscript("train", tiny_log, "--out", model, "--stream-key", r"session=(\w+)")

    offscript("score", model, odd_log, "--out", tmp_path / "alerts.jsonl")

    scored = (tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert "odd0001" in {json.loads(line)["stream"] for line in scored}

    addresses = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    store = ("--store", f"sqlite:///{tmp_path}/alerts.db")
    service = subprocess.Popen(
        [sys.executable, "-m", "offscript.cli", "serve", model, *addresses, *store],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stderr is not None
        said = next((line for line in service.stderr if "offscript: serving" in line), "")
        to = ("--to", said.split(" on ")[1].split(" ")[0])
        offscript("send", odd_log, *to)
        alerts = offscript("alerts", "--json", "--stream", "odd0001", *to).splitlines()
        assert alerts
        explained = offscript("explain", json.loads(alerts[0])["id"], *to)
        assert "odd0001" in explained
    finally:
        service.terminate()
        service.communicate(timeout=60)
    assert service.returncode == 0
