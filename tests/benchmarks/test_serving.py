"""Traffic is real streams in turn; peers score what the scorer scores; the service keeps up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from offscript.benchmarks import serving_peers
from offscript.benchmarks.replay_server import Service
from offscript.benchmarks.serving_grpc import latencies, named, raw, rows_per_second
from offscript.benchmarks.serving_peers import incremental, windowed
from offscript.benchmarks.serving_scorer import alone, floor_seconds, rest_megabytes, times_one
from offscript.benchmarks.serving_traffic import Recorded, recorded, shuffled, traffic
from offscript.model.folder import Model, load_model
from offscript.training.config import TrainConfig

ScoreSequence = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def source(model: Model, tiny_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    config = TrainConfig((tiny_log,), tmp_path_factory.mktemp("serving") / "model")
    return recorded("tiny", config, model)


def test_streams_take_turns_and_play_what_was_recorded(source: Recorded) -> None:
    pieces = list(islice(traffic(source, 10, 16, idle_seconds=40.0, seed=0), 40))

    streams: dict[str, list[str]] = {}
    for piece in pieces:
        assert len(piece) == len(piece.name) == len(piece.time) == 16
        for key, name in zip(piece.stream, piece.name, strict=True):
            streams.setdefault(key, []).append(name)
    real = {
        "\n".join(source.names[i] for i in source.ids[begin:end])
        for begin, end in zip(source.bounds[:-1], source.bounds[1:], strict=True)
    }
    assert {key.partition(".")[0] for key in streams} == {str(slot) for slot in range(10)}
    assert all(any("\n".join(names) in whole for whole in real) for names in streams.values())
    # Ten events, a round of all, lie a quarter of the idle time apart.
    assert np.diff(pieces[0].time).max() == 10.0
    assert pieces[0].time[10] - pieces[0].time[9] == 10.0


@pytest.mark.slow
def test_what_two_processes_compute_at_once_is_measured_turn_by_turn() -> None:
    found = times_one(2)

    assert len(found) == 2
    assert min(found) > 0.0


def test_no_recorded_stream_comes_again_before_all_have_come() -> None:
    drawn = list(islice(shuffled(5, np.random.default_rng(0)), 15))

    assert [sorted(drawn[at : at + 5]) for at in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert drawn[:5] != drawn[5:10]


@pytest.mark.parametrize("peer", [windowed, incremental])
def test_a_peer_computes_what_the_scorer_computes(
    peer: object,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    score_sequence: ScoreSequence,
) -> None:
    monkeypatch.setattr(serving_peers, "STREAMS", 3)
    window = model.config.decoder.window
    tokens = np.random.default_rng(0).integers(4, len(model.vocabulary), (3, 2 * window))
    step = peer(model)  # type: ignore[operator]

    with torch.inference_mode():
        found = [step(torch.from_numpy(column)) for column in tokens.T]
    log_p = torch.cat(found, dim=1).numpy()

    for row, own in zip(log_p, tokens, strict=True):
        # What the peers begin with: nothing but token 0.
        begun = np.zeros(2 * window - 1 if peer is windowed else 1, np.int64)
        surprisal, _ = score_sequence(model.weights, np.concatenate([begun, own]))
        np.testing.assert_allclose(-row, surprisal[len(begun) - 1 :], atol=1e-3)


def test_the_floor_counts_what_a_full_window_takes(model: Model) -> None:
    c = model.config.decoder
    heads = c.n_heads * c.d_head

    few = floor_seconds(model, live=1, multiplies=1e9, reads=1e9)
    many = floor_seconds(model, live=10**6, multiplies=1e12, reads=1e9)

    assert few == pytest.approx((3 * c.window * heads + heads * (3 * heads + 2 * c.d_vocab)) / 1e9)
    assert many == pytest.approx(4 * c.window * heads / 1e9)


def test_every_turn_of_the_scorer_has_its_speed(source: Recorded, model: Model) -> None:
    found = alone(source, model, 20, turns=2, events=4096, known_bytes=1 << 20)
    computed = alone(source, model, 20, turns=2, events=4096, known_bytes=0)

    assert all(speed > 0.0 for speed in found.speeds + computed.speeds)
    assert all(share > 0.5 for share in found.known)
    assert computed.known == [0.0, 0.0]


@pytest.mark.slow
def test_the_service_acknowledges_all_and_its_latency_is_measured(
    source: Recorded, model: Model, tiny_model: Path, tmp_path: Path
) -> None:
    idle = model.config.streams.idle_seconds
    batches = [
        named(piece) for piece in islice(traffic(source, 5, 32, idle_seconds=idle, seed=0), 8)
    ]
    assert source.lines is not None
    with Service(tiny_model, tmp_path) as service:
        assert rows_per_second(service.address, batches) > 0.0
        assert rows_per_second(service.address, raw(source.lines[:500], 100)) > 0.0
        taken = latencies(service.address, batches, rate=50.0)

    assert len(taken) == 8
    assert np.all(taken > 0.0)


@pytest.mark.slow
def test_a_million_streams_at_rest_fit(model: Model) -> None:
    assert 0.0 < rest_megabytes(model) < 1200.0
