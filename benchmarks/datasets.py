"""The labelled sets: where each lies, and which of its streams train and which test.

Of a file with a split, the normal streams of `train` train and those of `test` test. The others:
`hdfs_raw` and `hdfs_raw2pct` (the same log as text and as event ids) are ordered by their streams'
last events, the normal ones of the first half train, the second half tests. `postgres` trains on
the sessions that begin before its test part. `unm_live_lpr` has no split and no times, and
`hadoop` gives 17 streams to training, too few to learn from: of both a half of the normal streams,
drawn once for all, trains.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..examples.postgres.labels import FOLDER, STREAM_KEY, read_split
from ..examples.postgres.labels import read_labels as read_planted
from ..model.logs import read_lines
from ..training.config import TrainConfig
from ..training.corpus import Corpus, read_labels, read_sequences
from .labelled import Labelled, corpus_of

BLOCK = r"blk_-?\d+"
PUBLISHED_NORMALS = {"hdfs_deeplog": 553_366}  # test streams of which the file holds a sample
Split = Callable[[Corpus], tuple[list[str], list[str]]]


def published(corpus: Corpus) -> tuple[list[str], list[str]]:
    """The split that the file itself names."""
    return _train_and_test(corpus, np.array([split == "train" for split in corpus.splits]))


def chronological(corpus: Corpus) -> tuple[list[str], list[str]]:
    """The first half of the streams in the order of their last events, and the second."""
    return _train_and_test(corpus, np.arange(len(corpus)) < len(corpus) // 2)


def drawn(corpus: Corpus) -> tuple[list[str], list[str]]:
    """Half of the normal streams, always the same draw, and all the rest."""
    normal = np.flatnonzero(corpus.labels == 0)
    half = np.random.default_rng(0).permutation(normal)[: len(normal) // 2]
    return _train_and_test(corpus, np.isin(np.arange(len(corpus)), half))


SPLITS: dict[str, Split] = {
    "hdfs_deeplog": published,
    "hdfs_raw2pct": chronological,
    "hdfs_100k": published,
    "adfa_ld": published,
    "unm_live_lpr": drawn,
    "bpi_12_injected": published,
    "sepsis_injected": published,
    "road_traffic_fines_injected": published,
    "ait_ads_hosthour": published,
    "hadoop": drawn,
}
NAMES = ("hdfs_raw", "postgres", *SPLITS)


def load(name: str, data: Path, scratch: Path) -> Labelled:
    """The set called `name`; `scratch` takes copies of its logs that have no labels in them."""
    if name == "hdfs_raw":
        return hdfs_raw(data, scratch)
    if name == "postgres":
        return postgres(scratch)
    return sequences(data / "sequences" / f"{name}.jsonl.gz", SPLITS[name], scratch)


def sequences(path: Path, split: Split, scratch: Path) -> Labelled:
    """A file of ready event ids, one stream a line."""
    name = path.name.removesuffix(".jsonl.gz")
    copy = scratch / f"{name}.jsonl"
    anomalous: list[str] = []
    event_labels: dict[str, NDArray[np.bool_]] = {}
    with copy.open("w", encoding="utf-8") as file:
        for line in read_lines([path]):
            record = json.loads(line)
            known = {key: record[key] for key in ("id", "events", "t") if key in record}
            file.write(json.dumps(known) + "\n")
            key = str(record["id"])
            if record["label"]:
                anomalous.append(key)
            if "labels" in record:
                event_labels[key] = np.array(record["labels"], dtype=np.bool_)
    train, test = split(read_sequences(read_lines([path])))
    weight = 1.0
    if name in PUBLISHED_NORMALS:
        weight = PUBLISHED_NORMALS[name] / len(set(test) - set(anomalous))
    return Labelled(
        name=name,
        config=TrainConfig((copy,), scratch / name, quiet=True),
        train=tuple(train),
        test=tuple(test),
        anomalous=frozenset(anomalous),
        event_labels=event_labels,
        first_wrong={k: int(wrong.argmax()) for k, wrong in event_labels.items() if wrong.any()},
        weight=weight,
    )


def hdfs_raw(data: Path, scratch: Path) -> Labelled:
    """The raw 2 % sample of the HDFS log; a block is a stream, and lies within the log."""
    log = data / "raw" / "hdfs_2pct.log.xz"
    labels = read_labels(read_lines([data / "raw" / "hdfs_2pct.anomaly_label.csv.xz"]))
    config = TrainConfig((log,), scratch / "hdfs_raw", stream_key=BLOCK, complete=True, quiet=True)
    order = corpus_of(config, scratch).streams
    half = len(order) // 2
    return Labelled(
        name="hdfs_raw",
        config=config,
        train=tuple(key for key in order[:half] if not labels[key]),
        test=order[half:],
        anomalous=frozenset(key for key in order if labels[key]),
    )


def postgres(scratch: Path) -> Labelled:
    """The recording of a shop's database; a session belongs to the part that has its first line."""
    config = TrainConfig(
        (FOLDER / "recording.log.xz",),
        scratch / "postgres",
        stream_key=STREAM_KEY,
        quiet=True,
    )
    corpus = corpus_of(config, scratch)
    planted = {label.stream: label for label in read_planted()}
    split = read_split()
    first_wrong, parts = {}, {}
    for index, key in enumerate(corpus.streams):
        lines = corpus.line[corpus.events_of(index)] + 1
        parts[key] = split.part(int(lines[0]))
        if key in planted:
            first_wrong[key] = int(np.searchsorted(lines, planted[key].line))
    return Labelled(
        name="postgres",
        config=config,
        train=tuple(key for key, part in parts.items() if part != "test"),
        test=tuple(key for key, part in parts.items() if part == "test"),
        anomalous=frozenset(planted),
        first_wrong=first_wrong,
    )


def _train_and_test(corpus: Corpus, training: NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    """Keys of the normal streams of the training part, and of all streams of the rest."""
    train = np.flatnonzero(training & (corpus.labels == 0))
    return (
        [corpus.streams[i] for i in train],
        [corpus.streams[i] for i in np.flatnonzero(~training)],
    )
