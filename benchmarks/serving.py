"""Speed of scoring: the scorer alone, the service over gRPC, and memory, beside its peers.

`events_per_second` of `offscript` is what one core scores: events by name in, alerts out, in pieces
of 1,024, with so many live streams that take turns at random. `known_share` of the events come in a
context that came before and are looked up: no recorded stream comes twice before all have come, but
100,000 live streams are more than were recorded. `events_per_second_computed` is the speed without
that, when nothing ever repeats. `floor_fraction` is the least time that the arithmetic, or the
memory, of an event with a full window takes on this machine, measured in the same run, divided by
the time that computing it took.

Its peers run on one core too, in the same run, turn by turn. Of the same decoder: PyTorch with the
whole window computed for every event (`torch_window`), or with keys and values kept
(`torch_incremental`), ONNX Runtime with the whole window (`onnx_window`). Of what one would take
instead: an LSTM of DeepLog's kind (`torch_deeplog`), river's half-space trees, which learn online
from the counts of a stream's events (`river_half_space_trees`), and DetectMate's detectors of
sequences (`detectmate_…`; where there is no Python 3.12 for them they are left out, and a line says
so). `times_theirs` is our speed divided by theirs, `times_theirs_computed` that of computing every
event. `lines_per_second` of the set's raw lines is the speed of our parser beside drain3's.

`offscript_service` is `offscript serve` in a process of its own with the client in another:
`events_per_second` by name and `lines_per_second` of raw lines to the last acknowledgement, and the
`latency` of batches of 256 that are due at fixed times, in milliseconds from when one was due to
its acknowledgement, at a share of the speed of such batches without pauses (`…_by_256`), which is
measured anew before each turn as the machine's own speed changes. `times_one` is what two processes
compute at once by what one does alone: all that these two have. Values are medians over turns, with
the least and the largest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..model.folder import Model, load_model
from ..model.scorer import KNOWN_BYTES
from ..model.warm import warm
from ..training.config import TrainConfig
from ..training.train import train_model
from .data import data_folder
from .kept import FOLDER as WORK
from .kept import fingerprint
from .replay_server import Service
from .results import FOLDER as RESULTS
from .results import Row, row_of_turns, run_results, write_results
from .serving_beside import beside, parsers
from .serving_grpc import latencies, named, raw, rows_per_second
from .serving_scorer import (
    SIZE,
    alone,
    floor_seconds,
    multiply_rate,
    read_rate,
    rest_megabytes,
    times_one,
)
from .serving_traffic import SETS, Recorded, recorded, traffic, training_of

LIVE = {1: "1_stream", 1_000: "1k_streams", 100_000: "100k_streams"}
TARGETS = {1: 600_000.0, 100_000: 400_000.0}
TURNS = 5
EVENTS = 40_000  # of a turn
LOGS = 3  # turns of raw lines
SERVED = 300_000  # of a turn of the service
DUE = 256  # events of a batch whose latency is measured
LOADS = (0.25, 0.5, 0.75)  # of the speed of such batches without pauses
LOAD_SECONDS = 4.0


def trained(name: str, data: Path, scratch: Path, *, fresh: bool) -> tuple[TrainConfig, Path]:
    """A model of the default preset for the set, kept until the code that trains changes."""
    key = fingerprint(("training/*.py", "model/decoder.py", "model/folder.py"))[:12]
    folder = WORK / "serving" / f"{name}-{key}"
    config = training_of(name, data, scratch)
    if fresh or not folder.exists():
        train_model(replace(config, out=folder), _say)
    return config, folder


def scorer(source: Recorded, model: Model, setting: str, *, events: int) -> Iterator[Row]:
    """The scorer alone, with few and with many live streams, and its peers."""
    multiplies, reads = multiply_rate(), read_rate()
    for live, called in LIVE.items():
        floor = floor_seconds(model, live=live, multiplies=multiplies, reads=reads)
        data = f"{source.name}_{called}"
        found = alone(source, model, live, turns=TURNS, events=events, known_bytes=KNOWN_BYTES)
        target = TARGETS.get(live)
        yield row_of_turns(data, "offscript", setting, "events_per_second", found.speeds, target)
        yield row_of_turns(data, "offscript", setting, "known_share", found.known)
        computed = alone(source, model, live, turns=TURNS, events=events, known_bytes=0).speeds
        yield row_of_turns(data, "offscript", setting, "events_per_second_computed", computed)
        fractions = [floor * speed for speed in computed]
        target = 0.5 if live == max(LIVE) else None
        yield row_of_turns(data, "offscript", setting, "floor_fraction", fractions, target)


def served(
    source: Recorded, model: Model, path: Path, setting: str, scratch: Path, *, events: int
) -> Iterator[Row]:
    """The service: events by name, raw lines, and the latency at several loads."""
    idle = model.config.streams.idle_seconds
    data = f"{source.name}_1k_streams"
    coming = traffic(source, 1_000, SIZE, idle_seconds=idle, seed=1)
    with Service(path, _folder(scratch, "named")) as service:
        speeds = []
        for turn in range(TURNS + 1):
            batches = [named(piece) for piece in islice(coming, events // SIZE)]
            speed = rows_per_second(service.address, batches)
            if turn:  # the first one meets streams without a past
                speeds.append(speed)
        yield row_of_turns(
            data, "offscript_service", setting, "events_per_second", speeds, 250_000.0
        )
    if source.lines is not None:
        batches = raw(source.lines, SIZE)
        rates = []
        for turn in range(LOGS):  # to a service that has not seen them
            with Service(path, _folder(scratch, f"lines-{turn}")) as service:
                rates.append(rows_per_second(service.address, batches))
        yield row_of_turns(data, "offscript_service", setting, "lines_per_second", rates, 150_000.0)
    coming = traffic(source, 1_000, DUE, idle_seconds=idle, seed=2)
    capacities, taken = list[float](), {load: list[NDArray[np.float64]]() for load in LOADS}
    with Service(path, _folder(scratch, "due")) as service:
        for turn in range(TURNS + 1):
            batches = [named(piece) for piece in islice(coming, events // 2 // DUE)]
            capacity = rows_per_second(service.address, batches)
            for load in LOADS:
                rate = load * capacity / DUE
                batches = [named(piece) for piece in islice(coming, int(rate * LOAD_SECONDS))]
                waited = 1e3 * latencies(service.address, batches, rate=rate)
                if turn:
                    taken[load].append(waited)
            if turn:
                capacities.append(capacity)
    yield row_of_turns(
        f"{data}_by_{DUE}", "offscript_service", setting, "events_per_second", capacities
    )
    for load, turns in taken.items():
        for share, target in ((50.0, 2.0), (99.0, 10.0), (99.9, None)):
            values = [float(np.percentile(waited, share)) for waited in turns]
            measure, wanted = f"latency_p{share:g}_ms", target if load == 0.5 else None
            at = f"{data}_{load:.0%}_load"
            yield row_of_turns(
                at, "offscript_service", setting, measure, values, wanted, sum(map(len, turns))
            )


def _folder(scratch: Path, name: str) -> Path:
    folder = scratch / name
    folder.mkdir()
    return folder


def at_rest(path: Path, setting: str, name: str) -> Row:
    """Memory of a million streams, in a process that does nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        value = pool.apply(_rest, (path,))
    return row_of_turns(f"{name}_1m_streams", "offscript", setting, "rss_mb", [value], 1200.0)


def _rest(path: Path) -> float:
    warm()
    return rest_megabytes(load_model(path))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sets that are asked for, and write results/serving.json."""
    parser = argparse.ArgumentParser(description="Speed of scoring.")
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], help=f"else {', '.join(SETS)}")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--fresh", action="store_true", help="train the models again")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of serving.json")
    options = parser.parse_args(arguments)
    data = data_folder(options.data)
    began = time.perf_counter()
    rows = [row_of_turns("machine", "two_processes", "python", "times_one", times_one(TURNS))]
    warm()
    for name in options.sets or SETS:
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            config, path = trained(name, data, scratch, fresh=options.fresh)
            model = load_model(path)
            setting = f"{model.summary['preset']} {model.sha256[:12]}"
            source = recorded(name, config, model)
            for row in (
                *scorer(source, model, setting, events=EVENTS),
                *beside(source, model, setting, events=EVENTS),
                *parsers(source, model, setting),
                *served(source, model, path, setting, scratch, events=SERVED),
                at_rest(path, setting, name),
            ):
                _say(f"{row.dataset} {row.method} {row.measure} {row.value:g}")
                rows.append(row)
    results = run_results("serving", rows, seed=0, seconds=time.perf_counter() - began)
    print(write_results(results, options.results))


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
