"""The scenarios of the soak, small, against a real service."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from offscript.benchmarks.replay_server import Service
from offscript.benchmarks.serving_traffic import Recorded, recorded, traffic
from offscript.benchmarks.soak_faults import dealt, drained, killed
from offscript.model.folder import load_model
from offscript.training.config import TrainConfig


@pytest.fixture
def source(tiny_model: Path, tiny_log: Path, tmp_path: Path) -> Recorded:
    config = TrainConfig((tiny_log,), tmp_path / "model")
    return recorded("tiny", config, load_model(tiny_model))


def test_a_stream_has_one_sender_and_keeps_its_order(source: Recorded) -> None:
    pieces = list(islice(traffic(source, 10, 16, idle_seconds=40.0, seed=0), 40))

    queues = dealt(pieces, 3)

    senders: dict[str, set[int]] = {}
    names: dict[str, list[str]] = {}
    for sender, batches in enumerate(queues):
        for batch in batches:
            for key_at, name_at in zip(batch.stream_ix, batch.name_ix, strict=True):
                senders.setdefault(batch.streams[key_at], set()).add(sender)
                names.setdefault(batch.streams[key_at], []).append(batch.names[name_at])
    assert all(len(own) == 1 for own in senders.values())
    sent: dict[str, list[str]] = {}
    for piece in pieces:
        for stream, name in zip(piece.stream, piece.name, strict=True):
            sent.setdefault(stream, []).append(name)
    assert names == sent


@pytest.mark.slow
def test_neither_a_kill_nor_an_orderly_end_loses_anything(
    source: Recorded, tiny_model: Path, tmp_path: Path
) -> None:
    coming = traffic(source, 50, 64, idle_seconds=40.0, seed=0)
    with Service(tiny_model, tmp_path) as service:
        kills = {measure: (value, n) for measure, value, n, _ in killed(service, coming, 2)}
        ends = {measure: value for measure, value, *_ in drained(service, coming, streams=5)}

    assert kills["alerts_lost"][0] == kills["events_lost"][0] == 0.0
    assert kills["start_seconds"][1] == 2
    assert kills["alerts_lost"][1] > 0
    assert kills["events_lost"][1] > 0
    assert (ends["told_share"], ends["unacknowledged"], ends["failed_calls"]) == (1.0, 0.0, 0.0)
