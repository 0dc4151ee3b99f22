"""A tiny labelled file for the harness: files opened, read or written to, and shut."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

TRAIN, NORMAL, ANOMALOUS = 120, 60, 20


def write_sequences(path: Path, labels: Sequence[int]) -> Path:
    """Training streams, then test streams with these labels; the last of these are cut short."""
    rng = np.random.default_rng(0)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for number in range(TRAIN + NORMAL + ANOMALOUS):
            events = ["open", *rng.choice(["read", "write"], rng.integers(2, 6)).tolist(), "shut"]
            test = number - TRAIN
            if test >= NORMAL:
                events = events[:-1]
            label = int(labels[test]) if test >= 0 else 0
            record = {
                "id": f"s{number}",
                "events": events,
                "t": [60.0 * number + second for second in range(len(events))],
                "label": label,
                "labels": [0] * (len(events) - 1) + [label],
                "split": "test" if test >= 0 else "train",
            }
            file.write(json.dumps(record) + "\n")
    return path


@pytest.fixture
def truth() -> list[int]:
    """Labels of the test streams, as they are."""
    return [0] * NORMAL + [1] * ANOMALOUS


@pytest.fixture
def files(tmp_path: Path, truth: list[int]) -> Path:
    """A file of 120 training streams and of 80 test streams, of which 20 are cut short."""
    return write_sequences(tmp_path / "files.jsonl.gz", truth)
