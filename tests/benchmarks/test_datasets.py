"""Sets are read so that training sees no label and no test stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.benchmarks.data import data_folder
from offscript.benchmarks.datasets import chronological, drawn, load, published, sequences
from offscript.benchmarks.labelled import (
    Dataset,
    Labelled,
    contaminated,
    corpus_of,
    read_dataset,
)
from offscript.examples.postgres.labels import read_labels
from offscript.training.corpus import read_sequences
from offscript.training.train import train_model

from .conftest import ANOMALOUS, NORMAL, TRAIN


@pytest.fixture
def labelled(files: Path, tmp_path: Path) -> Labelled:
    return sequences(files, published, tmp_path)


@pytest.fixture
def dataset(labelled: Labelled, tmp_path: Path) -> Dataset:
    return read_dataset(labelled, tmp_path)


def test_what_training_reads_has_no_labels_and_no_splits(labelled: Labelled) -> None:
    text = labelled.config.logs[0].read_text(encoding="utf-8")

    assert text.count("\n") == TRAIN + NORMAL + ANOMALOUS
    assert "label" not in text
    assert "split" not in text


@pytest.mark.slow
def test_what_calibrates_the_baselines_calibrates_the_model_too(
    dataset: Dataset, tmp_path: Path
) -> None:
    config = replace(dataset.config, out=tmp_path / "model", steps=20)

    model = train_model(config, lambda _: None)

    assert model.calibration.whole.streams == len(dataset.calibrating) == TRAIN
    assert model.summary["folds"] == len(dataset.rounds)
    for learning, held in dataset.rounds:
        assert len(learning) + len(held) == len(dataset.normal)
        assert not {id(stream) for stream in learning} & {id(stream) for stream in held}


def test_test_streams_keep_their_labels_and_first_wrong_events(dataset: Dataset) -> None:
    assert dataset.first_wrong is not None
    assert dataset.event_labels is not None
    assert len(dataset.test) == NORMAL + ANOMALOUS
    assert dataset.anomalous.sum() == ANOMALOUS
    for stream, bad, wrong, labels in zip(
        dataset.test, dataset.anomalous, dataset.first_wrong, dataset.event_labels, strict=True
    ):
        assert bad == (stream.names[-1] != "shut")
        assert wrong == (len(stream.names) - 1 if bad else -1)
        assert len(labels) == len(stream.names)


def test_unseen_streams_are_new_and_counted_once(dataset: Dataset) -> None:
    known = {tuple(stream.names) for stream in dataset.normal}

    unseen = [tuple(s.names) for s, new in zip(dataset.test, dataset.unseen, strict=True) if new]

    assert len(unseen) == len(set(unseen))
    assert set(unseen) == {tuple(stream.names) for stream in dataset.test} - known


def test_streams_near_the_recordings_end_may_have_been_open(dataset: Dataset) -> None:
    # Nobody is ever silent for more than a second, and only the last ended less before the end.
    assert dataset.closed.sum() == len(dataset.test) - 1


def test_contamination_moves_anomalies_from_test_to_training(labelled: Labelled) -> None:
    mixed = contaminated(labelled, 0.05, seed=0)

    moved = set(mixed.train) - set(labelled.train)
    assert len(mixed.train) == TRAIN
    assert len(moved) == 0.05 * TRAIN
    assert moved <= labelled.anomalous
    assert set(mixed.test) == set(labelled.test) - moved
    assert contaminated(labelled, 0.05, seed=0) == mixed
    assert contaminated(labelled, 0.05, seed=1) != mixed


def test_splits_take_only_normal_streams_for_training(files: Path, labelled: Labelled) -> None:
    lines = labelled.config.logs[0].read_text(encoding="utf-8").splitlines()
    corpus = read_sequences(lines)
    labels = np.array([key in labelled.anomalous for key in corpus.streams], np.int32)
    corpus = replace(corpus, labels=labels)

    early, late = chronological(corpus)
    half, rest = drawn(corpus)

    total = TRAIN + NORMAL + ANOMALOUS
    assert early == [f"s{number}" for number in range(total // 2)]
    assert late == [f"s{number}" for number in range(total // 2, total)]
    assert len(half) == (TRAIN + NORMAL) // 2
    assert not labelled.anomalous & set(half)
    assert sorted(half + rest) == sorted(corpus.streams)


@pytest.mark.slow
def test_the_recordings_first_wrong_events_come_from_the_lines_that_its_labels_name(
    tmp_path: Path,
) -> None:
    labelled = load("postgres", tmp_path, tmp_path)
    corpus = corpus_of(labelled.config, tmp_path)

    assert len(labelled.first_wrong) == len(labelled.anomalous) == 200
    for label in read_labels():
        events = corpus.events_of(corpus.streams.index(label.stream))
        wrong = labelled.first_wrong[label.stream]
        assert corpus.line[events][wrong] + 1 == label.line


def test_published_prevalence_weighs_the_normal_streams_of_hdfs(data: Path, tmp_path: Path) -> None:
    labelled = load("hdfs_deeplog", data_folder(str(data)), tmp_path)

    assert labelled.weight == pytest.approx(49.62, abs=0.01)
    assert (len(labelled.train), len(labelled.test)) == (4855, 11151 + 16838)
