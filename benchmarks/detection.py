"""Detection on labelled data: one default configuration for all sets, thresholds from normals only.

`hdfs_raw`: the raw HDFS log (2 % sample), streams ordered by their last line; trained and
calibrated on the normal ones of the first half, tested on the other half. `hdfs_deeplog`: DeepLog's
own split. `postgres`: the recording in examples/postgres, trained on what lies before its test
part.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..examples.postgres.labels import FOLDER, STREAM_KEY, read_split
from ..examples.postgres.labels import read_labels as read_planted
from ..model.event import EventParser
from ..model.folder import Model
from ..model.logs import read_lines
from ..model.templates import Templates
from ..training.calibrate import cropped
from ..training.config import TrainConfig
from ..training.corpus import Corpus, read_corpus, read_labelled, read_labels
from ..training.evaluate import Quality, quality, score_streams
from ..training.partition import judged
from ..training.source import Source, event_config
from ..training.train import train_model
from .data import data_folder
from .results import Row, run_results, write_results

BLOCK = r"blk_-?\d+"
TARGETS = {
    ("hdfs_raw", "auroc"): 0.997,
    ("hdfs_deeplog", "auroc"): 0.999,
    ("postgres", "auroc"): 0.99,
    ("postgres", "caught"): 0.9,
}


@dataclass(frozen=True)
class Task:
    """A data set made ready: what to train on, what to test on."""

    name: str
    config: TrainConfig
    test: Callable[[Model], Corpus]
    complete: bool


def hdfs_raw(data: Path, scratch: Path, seed: int) -> Task:
    """Raw lines; blocks ordered by their last line, first half against second half."""
    log = data / "raw" / "hdfs_2pct.log.xz"
    labels = read_labels(read_lines([data / "raw" / "hdfs_2pct.anomaly_label.csv.xz"]))
    asked = TrainConfig(
        (log,), scratch / "hdfs_raw", stream_key=BLOCK, complete=True, seed=seed, quiet=True
    )
    source = Source(asked.logs, scratch)
    parser = EventParser(event_config(asked, source, lambda _: None), Templates(()))
    order = read_corpus(source(), parser).streams
    first = frozenset(order[: len(order) // 2])
    exclude = frozenset(key for key in order if key not in first or labels[key])
    second = frozenset(order) - first
    return Task(
        "hdfs_raw",
        TrainConfig(**{**asked.__dict__, "exclude": exclude}),
        lambda model: read_labelled(model, [log], labels=labels, only=second),
        complete=True,
    )


def hdfs_deeplog(data: Path, scratch: Path, seed: int) -> Task:
    """Ready event ids; the split of the file."""
    log = data / "sequences" / "hdfs_deeplog.jsonl.gz"
    return Task(
        "hdfs_deeplog",
        TrainConfig((log,), scratch / "hdfs_deeplog", seed=seed, quiet=True),
        lambda model: read_labelled(model, [log], labels=None, only=None),
        complete=True,
    )


def postgres(_: Path, scratch: Path, seed: int) -> Task:
    """The recording; its test part against what lies before it, calibrated on the newest."""
    begin = read_split().parts[-1].first_line
    lines = list(read_lines([FOLDER / "recording.log.xz"]))
    known, rest = scratch / "known.log", scratch / "rest.log"
    known.write_text("\n".join(lines[: begin - 1]) + "\n", encoding="utf-8")
    rest.write_text("\n".join(lines[begin - 1 :]) + "\n", encoding="utf-8")
    labels = {label.stream: 1 for label in read_planted()}
    return Task(
        "postgres",
        TrainConfig(
            (known,),
            scratch / "postgres",
            stream_key=STREAM_KEY,
            newest=True,
            seed=seed,
            quiet=True,
        ),
        lambda model: read_labelled(model, [rest], labels=labels, only=None),
        complete=False,
    )


TASKS = {"hdfs_raw": hdfs_raw, "hdfs_deeplog": hdfs_deeplog, "postgres": postgres}


def measure(task: Task, seed: int) -> list[Row]:
    """Train, score the test streams whole and cut at random events, and compare with the labels."""
    began = time.perf_counter()
    model = train_model(task.config, lambda line: print(f"  {line}", flush=True))
    seconds = time.perf_counter() - began
    corpus = task.test(model)
    anomalous = corpus.labels == 1
    streams = judged(corpus, model.config.streams, complete=task.complete)
    rate = model.calibration.rate
    scored, _ = score_streams(model, streams)
    name = f"{task.config.preset} {model.sha256[:12]}"
    rows: list[Row] = []
    for one in scored:
        ours = one.method == "offscript"
        q = quality(one, anomalous, rate)
        rows += _rows(task.name, name if ours else "", q, ours)
    normals = [stream for stream, bad in zip(streams, anomalous, strict=True) if not bad]
    joined, _ = score_streams(model, cropped(normals, np.random.default_rng(seed)))
    share = float(joined[0].alerts.mean() / rate)

    def row(measure: str, value: float, n: int, target: float | None = None) -> Row:
        return Row(task.name, "offscript", name, measure, value, n=n, target=target)

    rows += [
        row("false_alert_ratio_joined", share, len(normals), 2.0),
        row("train_seconds", seconds, len(streams), 180.0),
        row("train_tokens_per_second", model.summary["train_tokens_per_second"], len(streams)),
    ]
    return rows


def _rows(dataset: str, model: str, q: Quality, ours: bool) -> list[Row]:
    values = {
        "auroc": (q.auroc, q.anomalous + q.normal),
        "average_precision": (q.average_precision, q.anomalous + q.normal),
        "tpr_at_fpr_0.001": (q.tpr_at_fpr_001, q.anomalous),
        "tpr_at_fpr_0.01": (q.tpr_at_fpr_01, q.anomalous),
        "f1_calibrated": (q.f1, q.anomalous + q.normal),
        "caught": (q.caught / q.anomalous, q.anomalous),
        "false_alert_ratio": (q.false_alerts / q.budgeted, q.normal),
    }
    return [
        Row(
            dataset,
            q.method,
            model,
            measure,
            round(value, 5),
            n=n,
            target=TARGETS.get((dataset, measure)) if ours else None,
        )
        for measure, (value, n) in values.items()
    ]


def main() -> None:
    """Run the sets that are asked for, all if none is, and write results/detection.json."""
    parser = argparse.ArgumentParser(description="Detection on labelled data.")
    parser.add_argument("sets", nargs="*", choices=[*TASKS, []], help="all if left out")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    rows: list[Row] = []
    for name in options.sets or TASKS:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            data = data_folder(options.data) if name != "postgres" else Path()
            rows += measure(TASKS[name](data, Path(scratch), options.seed), options.seed)
    results = run_results("detection", rows, seed=options.seed, seconds=time.perf_counter() - began)
    print(write_results(results))


if __name__ == "__main__":
    main()
