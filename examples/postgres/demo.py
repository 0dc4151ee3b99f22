"""The whole story in one command: train on the recording, serve, send the rest, catch, explain."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...model.errors import OffscriptError
from ...model.folder import Model
from ...model.logs import read_lines
from ...protos import detector_pb2 as pb
from ...service.client import Client
from ...service.send import send
from .labels import FOLDER, STREAM_KEY, Label, read_labels, read_split

_SERVING = re.compile(r"on (\S+) \(gRPC\)")
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What came of the planted sessions and of the normal ones."""

    planted: int
    caught: int
    normal: int
    false_alerts: int  # normal sessions with an alert
    budgeted: float
    with_cause: int  # caught sessions whose cause is known
    cause_named: int  # of those: cause among the first three pieces of evidence


def demo(keep: Path | None) -> int:
    """Run the story; `keep` is a folder for the model and the alerts, else they are thrown away."""
    from ...training.config import TrainConfig
    from ...training.train import train_model

    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        known, rest = _split(folder)
        _say("1. Train on the first three quarters of a PostgreSQL server's log, all of it normal")
        config = TrainConfig(
            logs=(known,),
            out=folder / "model",
            stream_key=STREAM_KEY,
            quiet=not sys.stderr.isatty(),
        )
        model = train_model(config, lambda line: print(f"   {line}", flush=True))
        _say("2. Serve the model, and stream the last quarter to it over gRPC")
        with serving(folder) as address:
            sent = send([rest], address)
            print(f"   {sent.lines:,} lines sent, {sent.events:,} events scored and acknowledged")
            alerts = wait_for_alerts(model, address)
            print(f"   {len(alerts):,} alerts")
            labels = read_labels()
            with Client(address) as client:
                outcome, story = judge(model, client, alerts, labels)
                _say("3. What it caught")
                print(_report(outcome))
                if story is not None:
                    _say("4. One alert in full")
                    _tell(client, *story)
        if keep is not None:
            store = f"sqlite:///{keep / 'alerts.db'}"
            _say(f"To go on with them: offscript serve {keep / 'model'} --store {store}")
    return 0


def judge(
    model: Model, client: Client, alerts: Sequence[pb.Alert], labels: Sequence[Label]
) -> tuple[Outcome, tuple[pb.Alert, Label] | None]:
    """Compare alerts with what was planted; beside it one whose cause is named.

    The strongest of those that one event raised: there the story is a single line.
    """
    planted = {label.stream: label for label in labels}
    strongest: dict[str, pb.Alert] = {}
    for alert in alerts:
        best = strongest.get(alert.stream)
        if best is None or alert.score > best.score:
            strongest[alert.stream] = alert
    test = read_split().parts[-1]
    normal = test.sessions - test.planted
    named: list[tuple[pb.Alert, Label]] = []
    with_cause = 0
    for stream, alert in strongest.items():
        label = planted.get(stream)
        if label is not None and label.cause is not None:
            with_cause += 1
            told = client.explain(alert.id, checks=False).evidence
            lines = [piece.line for piece in told if piece.value > 0.0][:3]
            if any(line and label.cause.endswith(_message(line)) for line in lines):
                named.append((alert, label))
    caught = sum(stream in planted for stream in strongest)
    outcome = Outcome(
        planted=len(labels),
        caught=caught,
        normal=normal,
        false_alerts=len(strongest) - caught,
        budgeted=model.calibration.rate * normal,
        with_cause=with_cause,
        cause_named=len(named),
    )
    clearest = max(
        named, key=lambda pair: (pair[0].detector == "event", pair[0].score), default=None
    )
    return outcome, clearest


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`offscript serve` in a process of its own; its gRPC address."""
    store = f"sqlite:///{folder / 'alerts.db'}"
    arguments = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", store]
    log = (folder / "serve.log").open("w+", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "offscript.cli", "serve", str(folder / "model"), *arguments],
        stderr=log,
    )
    try:
        yield _address(process, folder / "serve.log")
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)
        log.close()


def wait_for_alerts(model: Model, address: str) -> list[pb.Alert]:
    """All alerts, once the last streams have been silent for long enough to have ended."""
    time.sleep(model.config.streams.idle_seconds + 2.0)
    with Client(address) as client:
        return list(client.alerts())


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        match = _SERVING.search(log.read_text())
        if match:
            return match[1]
        time.sleep(0.05)
    raise OffscriptError(f"the service did not start: {log.read_text().strip()[-500:]}")


def _split(folder: Path) -> tuple[Path, Path]:
    """The recording up to where its test part begins, and from there on."""
    begin = read_split().parts[-1].first_line
    known, rest = folder / "known.log", folder / "rest.log"
    with known.open("w", encoding="utf-8") as first, rest.open("w", encoding="utf-8") as second:
        for number, line in enumerate(read_lines([FOLDER / "recording.log.xz"]), start=1):
            (first if number < begin else second).write(line + "\n")
    return known, rest


def _message(line: str) -> str:
    """What a line says, without its time and session."""
    return line.split("] ", 1)[-1]


def _report(outcome: Outcome) -> str:
    share = outcome.caught / outcome.planted
    caught = f"{outcome.caught} of {outcome.planted} ({share:.0%})"
    false = f"{outcome.false_alerts} of {outcome.normal:,} normal sessions"
    lines = [
        f"   planted sessions caught   {caught}",
        f"   false alerts              {false} (budget: {outcome.budgeted:.1f})",
    ]
    if outcome.with_cause:
        named = outcome.cause_named / outcome.with_cause
        lines.append(
            f"   cause named               {outcome.cause_named} of {outcome.with_cause} "
            f"({named:.0%}): the true cause is among the first three pieces of evidence"
        )
    return "\n".join(lines)


def _tell(client: Client, alert: pb.Alert, label: Label) -> None:
    print(f"   What was planted: {label.what}")
    print(f"   Its cause:        {_message(label.cause or '')}\n")
    print(client.explain(alert.id).text)


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)
