"""Plain loops see every event once; ours sees equal streams fewer times, and both learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from offscript.benchmarks import training
from offscript.benchmarks.datasets import published, sequences
from offscript.benchmarks.labelled import Labelled
from offscript.benchmarks.results import read_results
from offscript.benchmarks.training import our_pass
from offscript.benchmarks.training_peers import PEERS, every_stream, plain_pass
from offscript.model.config import DecoderConfig
from offscript.model.vocabulary import END, START
from offscript.training.batches import LONGEST, Sequences

SMALL = DecoderConfig(d_vocab=9, d_model=16, n_heads=2, d_head=8, window=8)


def streams() -> Sequences:
    """One stream 200 times, and a long one; every event follows from the one before."""
    short = np.array([START, 4, 5, 6, END], np.int32)
    long = np.array([START, *[4, 5, 6] * LONGEST, END], np.int32)
    return Sequences.of([short] * 200 + [long])


def test_the_streams_of_a_plain_loop_hold_every_event_once_and_none_is_long() -> None:
    data = streams()

    pieces = every_stream(data)

    assert sum(len(piece) - 1 for piece in pieces) == data.events
    assert max(len(piece) for piece in pieces) == LONGEST


@pytest.mark.parametrize("name", PEERS)
def test_a_plain_loop_computes_every_event_and_learns(name: str) -> None:
    torch.manual_seed(0)
    net, pieces = PEERS[name](SMALL), every_stream(streams())

    def loss() -> float:
        with torch.no_grad():
            return float(cross_entropy(net(pieces[0][None, :-1])[0], pieces[0][1:]))

    before = loss()
    passes = [plain_pass(net, pieces, seed=seed) for seed in range(5)]

    assert {one.events for one in passes} == {streams().events}
    assert loss() < before


def test_a_pass_of_ours_computes_equal_streams_fewer_times() -> None:
    data = streams()

    ours = our_pass(data, SMALL, seed=0)

    assert 0 < ours.events < data.events


@pytest.mark.slow
def test_one_command_writes_a_pass_and_a_whole_training_of_each_set(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(name: str, data: Path, scratch: Path) -> Labelled:
        return sequences(files, published, scratch)

    monkeypatch.setattr(training, "load", tiny)
    (tmp_path / "sequences").mkdir()

    training.main(["hdfs_deeplog", "--data", str(tmp_path), "--results", str(tmp_path)])

    rows = {(row.method, row.measure): row for row in read_results(tmp_path / "training.json").rows}
    assert {method for method, _ in rows} == {"offscript", *PEERS}
    assert rows["offscript", "times_ours"].value == 1.0
    assert rows["offscript", "held_out_loss"].value > 0
