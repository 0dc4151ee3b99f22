"""The service over time and under faults: what is lost, what grows, how long others wait.

Each row is what one scenario came to, on the recording's events and the default preset, with the
service in a process of its own. `soak`: events by name for minutes on end; of
`rss_slope_mb_per_minute` a line is fitted to its memory after the first fifth. `leak` is the same
with a leak of eight bytes an event planted in the service, and `found_share` by how much steeper
that slope is, as a share of what is leaked.
`killed`, `postgres_away`, `reloaded`, `overloaded` and `drained` are told in `soak_faults.py`;
`cancelled`, `connected`, `unread` and `limited` in `soak_callers.py`. `many_streams`: two million
streams where a hundred thousand are kept; `many_lines`: a million raw lines each of which looks
like no other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ..examples.postgres.server import running_server
from ..model.folder import load_model
from ..model.warm import warm
from ..protos import detector_pb2 as pb
from ..service.tokens import Scope, add_token
from .data import data_folder
from .replay_server import Service
from .results import FOLDER as RESULTS
from .results import Row, run_results, write_results
from .serving import trained
from .serving_grpc import latencies, named, raw, rows_per_second
from .serving_traffic import Piece, Recorded, recorded, traffic
from .soak_callers import cancelled, connected, limited, unread
from .soak_faults import Found, away, drained, killed, overloaded, reloaded, twin

SCENARIOS = (
    "killed",
    "postgres_away",
    "reloaded",
    "overloaded",
    "drained",
    "cancelled",
    "connected",
    "unread",
    "limited",
    "many_streams",
    "many_lines",
    "soak",
    "leak",
)
RATE = 50_000.0  # events a second
KEPT = 100_000  # streams
LIMIT = 40_000.0  # events a second of a sender, where they are limited
_SIZE = 256
_LEAKED = 8  # bytes an event
_CAP_MB = 1024.0  # of the service's memory, whatever comes
_LEAKING = Path(__file__).with_name("soak_leak.py")


def steady(
    service: Service, coming: Iterator[Piece], *, minutes: float, rate: float, most: float | None
) -> Found:
    """Memory and latency at one rate; `most`: megabytes a minute that memory may grow."""
    process = psutil.Process(service.pid)
    taken: list[float] = []
    at: list[float] = []
    megabytes: list[float] = []
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < 60.0 * minutes:
        batches = [named(piece) for piece in islice(coming, int(5.0 * rate / _SIZE))]
        taken += latencies(service.address, batches, rate=rate / _SIZE).tolist()
        at.append(passed / 60.0)
        megabytes.append(process.memory_info().rss / 1e6)
    late = np.array(at) >= 0.2 * minutes
    slope = float(np.polyfit(np.array(at)[late], np.array(megabytes)[late], 1)[0])
    yield "rss_slope_mb_per_minute", slope, int(late.sum()), most
    yield "rss_mb", megabytes[-1], len(megabytes), None
    yield "latency_p50_ms", 1e3 * float(np.percentile(taken, 50.0)), len(taken), None
    yield "latency_p99_ms", 1e3 * float(np.percentile(taken, 99.0)), len(taken), 100.0
    yield "events_per_second", len(taken) * _SIZE / (time.perf_counter() - began), len(taken), None


def many(service: Service, batches: Iterator[pb.EventBatch], count: int) -> Found:
    """Whatever comes: speed, memory, and what a scrape of the metrics costs afterwards."""
    process = psutil.Process(service.pid)
    rates = []
    while piece := list(islice(batches, 64)):
        rates.append(rows_per_second(service.address, piece))
    yield "rows_per_second", float(np.median(rates)), count, None
    yield "rss_mb", process.memory_info().rss / 1e6, 1, _CAP_MB
    began = time.perf_counter()
    with urllib.request.urlopen(service.metrics, timeout=30.0) as answer:
        text = answer.read().decode()
    yield "scrape_ms", 1e3 * (time.perf_counter() - began), 1, 50.0
    series = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
    yield "series", float(series), 1, 2000.0


def strange_streams(names: Sequence[str], count: int) -> Iterator[pb.EventBatch]:
    """One event each of so many streams."""
    for begin in range(0, count, 4096):
        n = min(4096, count - begin)
        keys = [f"stream-{begin + at:09d}" for at in range(n)]
        yield named(Piece(keys, [names[at % len(names)] for at in range(n)], np.full(n, 1.7e9)))


def strange_lines(lines: Sequence[str], count: int) -> Iterator[pb.EventBatch]:
    """Real lines, each with words behind that no other line has."""
    words = ("".join(chr(97 + int(d)) for d in f"{at:07d}") for at in range(count))
    strange = [f"{lines[at % len(lines)]} {w} {w[::-1]}x" for at, w in enumerate(words)]
    yield from raw(strange, 1024)


def leak_found(rows: Sequence[Row]) -> float | None:
    """How much steeper memory grows with the leak, as a share of it; None unless both were run."""
    slope = {row.dataset: row.value for row in rows if row.measure == "rss_slope_mb_per_minute"}
    rate = {row.dataset: row.value for row in rows if row.measure == "events_per_second"}
    if not {"soak", "leak"} <= slope.keys():
        return None
    return (slope["leak"] - slope["soak"]) / (60.0 * rate["leak"] * _LEAKED / 1e6)


@dataclass(frozen=True)
class Run:
    """What a scenario has to work with."""

    model: Path
    twin: Path
    folder: Path  # its own
    source: Recorded
    coming: Iterator[Piece]
    minutes: float
    rounds: int

    def service(self, *options: str, **more: Any) -> Service:
        """To be used in a `with`."""
        return Service(self.model, self.folder, ["--max-streams", str(KEPT), *options], **more)


def found_of(scenario: str, run: Run) -> Found:
    """What one scenario comes to, with a service of its own."""
    coming = run.coming
    match scenario:
        case "postgres_away":  # what is committed has to be on disk
            with (
                running_server(synchronous_commit="on") as server,
                run.service(store=server.database()) as service,
            ):
                yield from away(service, coming, server, 30.0)
        case "limited":
            file = run.folder / "tokens"
            tokens = [add_token(file, name, [Scope.SEND]) for name in ("greedy", "modest")]
            with run.service("--tokens", str(file), "--sender-events", str(LIMIT)) as service:
                yield from limited(service, coming, tokens, rate=LIMIT / 2.0)
        case "leak":
            with run.service(program=[str(_LEAKING)]) as service:
                yield from steady(service, coming, minutes=run.minutes, rate=RATE, most=None)
        case _:
            with run.service() as service:
                yield from _plain(scenario, run, service)


def _plain(scenario: str, run: Run, service: Service) -> Found:
    """A scenario of the service as it is."""
    coming, names, lines = run.coming, run.source.names, run.source.lines or []
    match scenario:
        case "killed":
            return killed(service, coming, run.rounds)
        case "reloaded":
            both = (run.model, run.twin)
            return reloaded(service, coming, both, times=run.rounds, rate=RATE)
        case "overloaded":
            return overloaded(service, coming, senders=24, seconds=30.0)
        case "drained":
            return drained(service, coming, streams=100)
        case "cancelled":
            return cancelled(service, coming, 10_000)
        case "connected":
            return connected(service, coming, 1_000)
        case "unread":
            return unread(service, coming, readers=50, seconds=10.0)
        case "many_streams":
            return many(service, strange_streams(names, 2_000_000), 2_000_000)
        case "many_lines":
            return many(service, strange_lines(lines, 1_000_000), 1_000_000)
        case _:
            return steady(service, coming, minutes=run.minutes, rate=RATE, most=1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the scenarios that are asked for, and write results/soak.json."""
    parser = argparse.ArgumentParser(description="The service over time and under faults.")
    parser.add_argument(
        "scenarios", nargs="*", choices=[*SCENARIOS, []], help=f"else {', '.join(SCENARIOS)}"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak (10)")
    parser.add_argument("--rounds", type=int, default=50, help="kills, and reloads (50)")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of soak.json")
    options = parser.parse_args(arguments)
    began, rows = time.perf_counter(), list[Row]()
    warm()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        config, path = trained("postgres", data_folder(options.data), scratch, fresh=False)
        model = load_model(path)
        source = recorded("postgres", config, model)
        idle = model.config.streams.idle_seconds
        other = twin(path, scratch / "twin")
        setting = f"{model.summary['preset']} {model.sha256[:12]}"
        for number, scenario in enumerate(options.scenarios or SCENARIOS):
            folder = scratch / scenario
            folder.mkdir()
            coming = traffic(source, 1_000, _SIZE, idle_seconds=idle, seed=number)
            run = Run(path, other, folder, source, coming, options.minutes, options.rounds)
            for measure, value, n, target in found_of(scenario, run):
                rows.append(
                    Row(scenario, "offscript_service", setting, measure, value, n=n, target=target)
                )
                print(f"  {scenario} {measure} {value:g} of {n:,}", flush=True)
        if share := leak_found(rows):
            rows.append(Row("leak", "offscript_service", setting, "found_share", share, target=0.5))
    results = run_results("soak", rows, seed=0, seconds=time.perf_counter() - began)
    print(write_results(results, options.results))


if __name__ == "__main__":
    main()
