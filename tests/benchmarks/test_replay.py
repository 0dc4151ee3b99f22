"""A replay through a real service, from the model to the rows of the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offscript.benchmarks.replay import measure
from offscript.benchmarks.replay_deploy import Deploy
from offscript.benchmarks.replay_events import Sent
from offscript.benchmarks.replay_scenarios import Scenario
from offscript.benchmarks.replay_server import Service, replay
from offscript.model.errors import OffscriptError
from offscript.model.logs import read_lines
from offscript.training.config import TrainConfig

KEY = r"session=(\w+)"


@pytest.fixture
def scenario(tiny_log: Path, tiny_model: Path) -> Scenario:
    """The second half of the log; in one session, whose beginning is in it, a line is odd."""
    lines = list(read_lines([tiny_log]))
    half = lines[len(lines) // 2 :]
    owners = [match and match[1] for match in (re.search(KEY, line) for line in half)]
    known = {owner for owner in owners[: len(owners) // 4] if owner}
    wrong = next(
        at
        for at, line in enumerate(half)
        if "checkout started" in line and owners[at] not in known and at > len(half) // 4
    )
    half[wrong] = half[wrong].replace("checkout started", "prices rewritten")
    planted = owners[wrong]
    assert planted is not None
    return Scenario(
        "tiny",
        TrainConfig((tiny_log,), tiny_model, stream_key=KEY),
        [Sent(line) for line in half],
        owners,
        {planted: wrong},
        Deploy(renamed=("cart opened", "basket opened"), inserted=("login ok .*", "flags read")),
    )


@pytest.mark.slow
def test_a_replay_catches_what_is_wrong_loses_nothing_in_a_restart_and_sees_a_deploy(
    scenario: Scenario,
) -> None:
    rows = {(row.method, row.measure): row for row in measure(scenario, seed=0)}

    assert {method for method, _ in rows} == {"offscript", "ngram", "counts"}
    assert rows["offscript", "caught"].value == 1.0
    assert rows["offscript", "delay_events_p50"].value == 0.0
    assert rows["offscript", "restart_difference"].value == 0
    assert rows["offscript", "deploy_alerts"].value > rows["offscript", "deploy_incidents"].value
    assert rows["offscript", "deploy_incidents"].value > 0
    assert rows["offscript", "lines_per_second"].n == len(scenario.sent)
    assert rows["ngram", "caught"].n == rows["offscript", "caught"].n == 1


def test_a_service_that_does_not_start_is_shown(tmp_path: Path) -> None:
    with pytest.raises(OffscriptError, match="no model folder"):
        Service(tmp_path / "none", tmp_path).start()


@pytest.mark.slow
def test_a_service_that_dies_ends_the_replay(
    tiny_model: Path, tmp_path: Path, scenario: Scenario
) -> None:
    service = Service(tiny_model, tmp_path)
    service.start()
    service._process.kill()

    with pytest.raises(OffscriptError, match="died"):
        replay(service, scenario.sent, silent_until=None)
