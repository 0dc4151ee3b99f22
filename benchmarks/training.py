"""Speed of training: a pass over a corpus beside plain PyTorch loops, and the time to a model.

`seconds_per_epoch` is the CPU time of one pass over all training streams on one thread, which other
work on the machine disturbs less than the clock: the median of passes that take turns, with the
least and the largest. `times_ours` is that time divided by ours, turn by turn. A pass of ours
counts equal streams instead of repeating them, so `train_tokens_per_second`, the events that are
really computed in a second, says less than `seconds_per_epoch` does. `train_seconds` is the time by
the clock of a whole training, from the log to a calibrated model on all cores,
`train_cpu_seconds` what all its processes computed, and `held_out_loss` the decoder's loss in nats
per event. With `--device cuda` all networks are fitted on the GPU, passes are timed by the clock,
and the results are another file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..model.config import DecoderConfig, preset
from ..model.decoder import Decoder
from ..training.batches import Sequences, epoch
from ..training.fit import learn_vocabulary
from ..training.held_out import tokens_of
from ..training.loop import LoopConfig, fit_decoder
from ..training.train import train_model
from .data import data_folder
from .datasets import NAMES, load
from .labelled import Dataset, read_dataset
from .results import FOLDER as RESULTS
from .results import Row, run_results, write_results
from .training_peers import PEERS, Pass, clock, every_stream, plain_pass

SETS = ("hdfs_deeplog", "adfa_ld", "road_traffic_fines_injected", "postgres")
TARGETS = {"hdfs_deeplog": 60.0, "adfa_ld": 300.0, "road_traffic_fines_injected": 120.0}
TURNS = 3
LEAST_STEPS = 50  # of ours, where an epoch has fewer


def our_pass(
    sequences: Sequences, config: DecoderConfig, *, seed: int, device: str = "cpu"
) -> Pass:
    """One pass of the training loop, as a share of the steps where it takes only a few."""
    settings = LoopConfig(seed=seed, device=device)
    steps = sum(
        1 for _ in epoch(sequences, np.random.default_rng(0), batch_tokens=settings.batch_tokens)
    )
    taken = max(steps, LEAST_STEPS)
    began = clock(device)
    _, progress = fit_decoder(
        Decoder(config),
        sequences,
        Sequences.of([]),
        replace(settings, stop_at=taken),
        new_mass=1e-4,
        quiet=True,
    )
    share = steps / taken
    return Pass((clock(device) - began) * share, round(progress.tokens * share))


def speed(dataset: Dataset, *, seed: int, device: str) -> Iterator[Row]:
    """A pass of ours and of each plain loop over the same streams, in turn."""
    torch.set_num_threads(1)
    fit, _ = dataset.rounds[0]
    vocabulary, _ = learn_vocabulary(fit)
    sequences = Sequences.of([tokens_of(vocabulary, stream) for stream in fit])
    config = preset("tiny", len(vocabulary))
    streams = every_stream(sequences)
    passes: dict[str, list[Pass]] = {"offscript": [], **{name: [] for name in PEERS}}
    for turn in range(TURNS):
        passes["offscript"].append(our_pass(sequences, config, seed=seed + turn, device=device))
        for name, peer in PEERS.items():
            passes[name].append(plain_pass(peer(config), streams, seed=seed + turn, device=device))
    ours = np.array([one.seconds for one in passes["offscript"]])
    for method, turns in passes.items():
        seconds = np.array([one.seconds for one in turns])
        values = {
            "seconds_per_epoch": seconds,
            "times_ours": seconds / ours,
            "train_tokens_per_second": np.array([one.events for one in turns]) / seconds,
        }
        for measure, value in values.items():
            yield Row(
                dataset.name,
                method,
                f"d_model {config.d_model}",
                measure,
                round(float(np.median(value)), 4),
                round(float(value.min()), 4),
                round(float(value.max()), 4),
                sequences.events,
                3.0 if measure == "times_ours" and method != "offscript" else None,
            )


def to_a_model(dataset: Dataset, *, seed: int, device: str) -> Iterator[Row]:
    """A whole training on the set's normal streams."""
    before = os.times()
    model = train_model(replace(dataset.config, seed=seed, device=device), _say)
    # User and system time, its own and that of the processes that it waited for.
    computed = sum(os.times()[:4]) - sum(before[:4])
    setting = f"{model.summary['preset']} {model.sha256[:12]}"
    for measure, value, target in (
        ("train_seconds", model.summary["train_seconds"], TARGETS.get(dataset.name)),
        ("train_cpu_seconds", computed, None),
        ("held_out_loss", model.summary["losses"]["decoder"], None),
    ):
        yield Row(
            dataset.name,
            "offscript",
            setting,
            measure,
            round(value, 4),
            n=len(dataset.normal),
            target=target,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sets that are asked for, and write results/training.json."""
    parser = argparse.ArgumentParser(description="Speed of training.")
    parser.add_argument("sets", nargs="*", choices=[*NAMES, []], help=f"else {', '.join(SETS)}")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of training.json")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args(arguments)
    data = data_folder(options.data)
    began, rows = time.perf_counter(), list[Row]()
    for name in options.sets or SETS:
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            dataset = read_dataset(load(name, data, scratch), scratch)
            for row in (
                *speed(dataset, seed=options.seed, device=options.device),
                *to_a_model(dataset, seed=options.seed, device=options.device),
            ):
                _say(f"{row.dataset} {row.method} {row.measure} {row.value:g}")
                rows.append(row)
    seconds = time.perf_counter() - began
    on_gpu = options.device == "cuda"
    results = run_results(
        "training_cuda" if on_gpu else "training",
        rows,
        seed=options.seed,
        seconds=seconds,
        gpu=torch.cuda.get_device_name() if on_gpu else "",
    )
    print(write_results(results, options.results))


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
