"""Detection on labelled data: Offscript beside simple methods, all calibrated on the same normals.

One default configuration for all sets. A value is the mean over seeds, its interval the least and
the largest of them; methods that draw nothing at random run once. What is measured how is said in
quality.py and training/measures.py, how the sets are split in datasets.py.

Each result is kept in benchmarks/.work until the sources that it depends on change, so a run that
was killed goes on where it was. With --jobs several are got at a time, each on cores of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .baselines import BASELINES, SEEDED
from .data import data_folder
from .datasets import NAMES, load
from .kept import FOLDER as WORK
from .kept import fingerprint, keep, read_kept
from .labelled import Dataset, read_dataset
from .outcome import of_baseline, of_offscript
from .quality import measured, size_of
from .results import FOLDER as RESULTS
from .results import Row, run_results, write_results

SHOWN = ("auroc", "event_auroc", "f1_calibrated")  # while it runs
FAMILIES = ("offscript", *BASELINES)
_DATA = ("benchmarks/datasets.py", "benchmarks/labelled.py", "examples/postgres/recording.log.xz")
_OURS = ("model/*.py", "training/*.py", "interpret/reference.py")
_JUDGES = ("benchmarks/outcome.py", "benchmarks/quality.py", "training/measures.py")
_READING = (
    "model/event.py",
    "model/templates.py",
    "training/corpus.py",
    "training/fit.py",
    "training/partition.py",
    "training/source.py",
)
TARGETS = {
    ("hdfs_deeplog", "f1_calibrated"): 0.985,
    ("adfa_ld", "auroc"): 0.93,
    ("adfa_ld", "auroc_unseen"): 0.88,
    ("adfa_ld", "tpr_at_fpr_0.01"): 0.4,
    ("adfa_ld", "average_precision"): 0.65,
    ("unm_live_lpr", "auroc"): 0.995,
    ("bpi_12_injected", "auroc"): 0.99,
    ("bpi_12_injected", "event_auroc"): 0.96,
    ("sepsis_injected", "auroc"): 0.88,
    ("sepsis_injected", "event_auroc"): 0.85,
    ("road_traffic_fines_injected", "auroc"): 0.998,
    ("road_traffic_fines_injected", "event_auroc"): 0.95,
    ("ait_ads_hosthour", "auroc"): 0.85,
    ("ait_ads_hosthour", "event_auroc"): 0.75,
    ("hdfs_raw", "auroc"): 0.997,
    ("postgres", "auroc"): 0.99,
    ("postgres", "caught"): 0.9,
}


@dataclass(frozen=True)
class Asked:
    """What a benchmark is asked for, besides sets and methods."""

    data: Path
    seeds: int
    device: str
    work: Path
    scratch: Path
    fresh: bool


@dataclass(frozen=True)
class Run:
    """One fitting of one family of methods, and the seed of its randomness."""

    dataset: str
    family: str
    seed: int

    @property
    def path(self) -> Path:
        return Path(f"{self.dataset}-{self.family}-{self.seed}.json")


def sources_of(family: str) -> str:
    """What the results of a family of methods depend on."""
    if family == "offscript":
        return fingerprint((*_DATA, *_JUDGES, *_OURS))
    own = ("benchmarks/baselines/*.py", "training/ngram.py", "training/nearest.py")
    loop = ("training/loop.py", "model/decoder.py") if family == "control" else ()
    return fingerprint((*_DATA, *_JUDGES, *_READING, *own, *loop))


def runs(dataset: str, families: Sequence[str], seeds: int) -> Iterator[Run]:
    """All runs of a set, those on the same training streams one after the other."""
    for family in families:
        random = family == "offscript" or family in SEEDED
        for seed in range(seeds if random else 1):
            yield Run(dataset, family, seed)


def of_set(name: str, families: Sequence[str], asked: Asked) -> Iterator[dict[str, Any]]:
    """An entry for each run and method: its name, setting, measures and what they were taken on."""
    planned = list(runs(name, families, asked.seeds))
    for number, run in enumerate(planned, start=1):
        entries, note = entries_of(run, asked)
        seconds = sum(entry["seconds"] for entry in entries)
        _say(f"{number}/{len(planned)} {run.path.stem} ({note}{seconds:.0f} s)")
        for entry in entries:
            shown = (f"{m} {v:.4f}" for m, v in entry["values"].items() if m in SHOWN)
            _say(f"  {entry['method']}: {', '.join(shown)}")
        yield from entries


def entries_of(run: Run, asked: Asked) -> tuple[list[dict[str, Any]], str]:
    """The entries of one run, and how they were come by if not by running it."""
    path, key = asked.work / run.path, sources_of(run.family)
    entries = None if asked.fresh else read_kept(path, key)
    if entries is not None:
        return entries, "kept, "
    scratch = asked.scratch / f"{run.dataset}-{os.getpid()}"
    dataset = _read(run.dataset, asked.data, scratch)
    entries = measure(run, dataset, scratch, asked.device)
    keep(path, key, entries)
    return entries, ""


@lru_cache(maxsize=1)
def _read(name: str, data: Path, scratch: Path) -> Dataset:
    """The set, once for all runs in a row that need it."""
    scratch.mkdir(exist_ok=True)
    return read_dataset(load(name, data, scratch), scratch)


def run_ahead(planned: Sequence[Run], asked: Asked, jobs: int) -> None:
    """Have all runs kept, `jobs` at a time in processes of their own."""
    cores = max(1, len(os.sched_getaffinity(0)) // jobs)
    os.environ["OMP_NUM_THREADS"] = str(cores)  # for the libraries that the workers import
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _take_cores, (context.Value("i", 0), jobs))
    with pool:
        waiting = {pool.submit(entries_of, run, asked): run for run in planned}
        for number, future in enumerate(as_completed(waiting), start=1):
            future.result()
            _say(f"{number}/{len(planned)} {waiting[future].path.stem} is there")


def _take_cores(started: Synchronized[int], jobs: int) -> None:
    """Keep this worker to its share of the cores."""
    with started.get_lock():
        number = started.value
        started.value += 1
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[number % jobs :: jobs] or cores)


def measure(run: Run, dataset: Dataset, scratch: Path, device: str) -> list[dict[str, Any]]:
    """Fit the family to the set, and measure each of its methods."""
    began = time.perf_counter()
    if run.family == "offscript":
        found = of_offscript(dataset, scratch / "model", _say, seed=run.seed, device=device)
    else:
        found = of_baseline(dataset, BASELINES[run.family], seed=run.seed, device=device)
    entries = []
    for outcome in found:
        values = measured(dataset, outcome, seed=run.seed)
        entries.append(
            {
                "method": outcome.method,
                "setting": outcome.setting,
                "values": values,
                "sizes": {name: size_of(dataset, name) for name in values},
            }
        )
    seconds = (time.perf_counter() - began) / len(entries)
    return [{**entry, "seconds": seconds} for entry in entries]


def rows(dataset: str, entries: Iterable[dict[str, Any]]) -> list[Row]:
    """One row for each method and measure: the mean of its entries, the least and the largest."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        for measure, value in entry["values"].items():
            key = entry["method"], measure
            values[key].append(value)
            first.setdefault(key, entry)
    return [
        Row(
            dataset,
            method,
            first[method, measure]["setting"],
            measure,
            round(float(np.mean(found)), 5),
            min(found) if len(found) > 1 else None,
            max(found) if len(found) > 1 else None,
            first[method, measure]["sizes"][measure],
            TARGETS.get((dataset, measure)) if method == "offscript" else None,
        )
        for (method, measure), found in values.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for, all if nothing is, and write results/detection.json."""
    parser = argparse.ArgumentParser(description="Detection on labelled data.")
    parser.add_argument("sets", nargs="*", choices=[*NAMES, []], help="all if left out")
    parser.add_argument("--methods", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--seeds", type=int, default=5, help="how many (5)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (1)")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--fresh", action="store_true", help="do again what was kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of detection.json")
    options = parser.parse_args(arguments)
    names = options.sets or NAMES
    found, seconds = [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        asked = Asked(
            data=data_folder(options.data),
            seeds=options.seeds,
            device=options.device,
            work=WORK / "detection",
            scratch=Path(scratch),
            fresh=options.fresh,
        )
        if options.jobs > 1:
            planned = [run for name in names for run in runs(name, options.methods, asked.seeds)]
            # Ours take longest: begun last, they would leave the other cores idle.
            planned.sort(key=lambda run: run.family != "offscript")
            run_ahead(planned, asked, options.jobs)
            asked = replace(asked, fresh=False)
        for name in names:
            entries = list(of_set(name, options.methods, asked))
            found += rows(name, entries)
            seconds += sum(entry["seconds"] for entry in entries)
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else ""
    results = run_results("detection", found, seed=0, seconds=seconds, gpu=gpu)
    print(write_results(results, options.results))


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
