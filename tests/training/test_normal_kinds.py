"""Logs of very different nature are trained on, and new streams of the same nature keep quiet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import betabinom

from offscript.model.detector import Detector
from offscript.training.config import TrainConfig
from offscript.training.train import train_model

FRESH = 2000


def alike(rng: np.random.Generator, count: int) -> Iterator[list[str]]:
    """Streams that are all the same."""
    del rng
    for _ in range(count):
        yield ["open", "auth", "load", "save", "close"]


def detours(rng: np.random.Generator, count: int) -> Iterator[list[str]]:
    """One script with two rare detours."""
    for _ in range(count):
        retry = ["retry", "load"] if rng.random() < 0.05 else []
        warn = ["warn"] if rng.random() < 0.02 else []
        yield ["open", "auth", "load", *retry, "work", "save", *warn, "close"]


def with_alerts(detector: Detector, streams: list[list[str]], *, joined: bool = False) -> int:
    """How many of these streams raise an alert, from their beginning to their end."""
    keys = [str(index) for index in range(len(streams))]
    owners = [key for key, names in zip(keys, streams, strict=True) for _ in names]
    names = [name for stream in streams for name in stream]
    started = frozenset() if joined else frozenset(keys)
    found = detector.observe(owners, names, np.full(len(names), np.nan), started=started).findings
    return len({finding.stream for finding in [*found, *detector.end(keys).findings]})


@pytest.mark.slow
@pytest.mark.parametrize("kind", [alike, detours])
def test_new_normal_streams_keep_the_budget_and_gross_anomalies_are_caught(
    kind: Callable[[np.random.Generator, int], Iterator[list[str]]], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    log = tmp_path / "normal.jsonl"
    lines = [
        json.dumps({"id": f"s{index}", "events": names})
        for index, names in enumerate(kind(rng, 600))
    ]
    log.write_text("\n".join(lines), encoding="utf-8")
    config = TrainConfig(
        logs=(log,), out=tmp_path / "model", budget="1/100 streams", steps=100, quiet=True
    )
    model = train_model(config, report=list[str]().append)
    fresh = list(kind(rng, FRESH))
    shuffled = [list(rng.permutation(names)) for names in fresh[-100:]]

    # What a threshold at rank 6 of 600 lets through of new streams, as it is drawn at random too.
    most = betabinom.ppf(0.999, FRESH, 6, 595)
    assert with_alerts(Detector(model), fresh) <= most
    pieces = [names[int(rng.integers(len(names))) :] for names in fresh]
    assert with_alerts(Detector(model), pieces, joined=True) <= most
    # Some of the orders are the script's own.
    assert with_alerts(Detector(model), shuffled) >= 90
