"""DetectMate is driven from outside: an order, then a turn for every line."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from offscript.benchmarks.environment import kept_environment
from offscript.benchmarks.serving_detectmate import (
    DETECTORS,
    REQUIREMENTS,
    Player,
    live_events,
    player,
)
from offscript.benchmarks.serving_traffic import Recorded, recorded
from offscript.model.folder import load_model
from offscript.training.config import TrainConfig

COUNTS = """
import json, sys
order = json.loads(sys.stdin.readline())
print(json.dumps({"trained": len(order["train"])}), flush=True)
for turn, line in enumerate(sys.stdin, 1):
    if turn == 3:
        sys.exit(5)
    print(json.dumps({"events_per_second": turn * len(order["events"])}), flush=True)
"""


@pytest.fixture(scope="module")
def source(tiny_model: Path, tiny_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    config = TrainConfig((tiny_log,), tmp_path_factory.mktemp("detectmate") / "model")
    return recorded("tiny", config, load_model(tiny_model))


def test_a_driver_is_asked_turn_by_turn_and_its_end_is_an_error(
    source: Recorded, tmp_path: Path
) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(COUNTS, encoding="utf-8")
    events = len(live_events(source))

    with player(Path(sys.executable), "scvs", source, driver=driver) as playing:
        assert [playing.events_per_second() for _ in range(2)] == [events, 2 * events]
        with pytest.raises(RuntimeError, match=r"driver\.py.* ended with status 5"):
            playing.events_per_second()


def test_a_driver_that_cannot_start_is_an_error(source: Recorded, tmp_path: Path) -> None:
    starting = player(Path(sys.executable), "scvs", source, driver=tmp_path / "none.py")

    with pytest.raises(RuntimeError, match="ended with status 2"), starting:
        pass


def test_live_events_come_stream_after_stream(source: Recorded) -> None:
    events = live_events(source)

    pairs = Counter(pairwise(events))
    ids = (source.ids + 1).tolist()
    recorded_pairs = set(pairwise(ids))
    assert len(events) == 100_000
    assert min(events) >= 1  # zero is the event id of a record without one
    assert sum(n for pair, n in pairs.items() if pair in recorded_pairs) > 0.98 * len(events)


@pytest.mark.slow
@pytest.mark.parametrize("detector", DETECTORS)
def test_detectmate_itself_scores_events(detector: str, source: Recorded) -> None:
    python = kept_environment(REQUIREMENTS)
    if python is None:
        pytest.skip("no environment of DetectMate: `scripts/bench serving` makes it")

    with player(python, detector, source) as playing:
        assert isinstance(playing, Player)
        assert playing.events_per_second() > 10.0
