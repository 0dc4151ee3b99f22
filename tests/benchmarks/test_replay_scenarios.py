"""What is replayed is what the data sets say, in the order of time."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from offscript.benchmarks.replay_scenarios import (
    ait_ads_hosthour,
    hdfs_raw,
    postgres,
    postgres_endless,
)


def test_the_recordings_wrong_lines_are_those_of_its_planted_sessions(tmp_path: Path) -> None:
    recording = postgres(Path(), tmp_path, 0)

    assert len(recording.anomalies) == 200
    for owner, at in recording.anomalies.items():
        assert at is not None
        assert recording.owners[at] == owner


def test_the_recordings_deploy_is_deterministic_and_spares_what_was_planted(tmp_path: Path) -> None:
    recording = postgres(Path(), tmp_path, 0)
    sent, changed = recording.deployed()

    assert recording.deployed() == (sent, changed)
    assert len(changed) > 1000
    assert not changed & recording.anomalies.keys()
    before = {one.text for one in recording.sent}
    own = re.compile("|".join(map(re.escape, sorted(changed))))
    assert all(own.search(one.text) for one in sent if one.text not in before)


@pytest.mark.slow
def test_the_endless_recording_says_the_same_without_session_ids(tmp_path: Path) -> None:
    recording, endless = postgres(Path(), tmp_path, 0), postgres_endless(Path(), tmp_path, 0)

    assert endless.train.stream_key is None
    assert endless.owners == recording.owners
    at, line = 5, recording.sent[5].text
    assert endless.sent[at].text == line.replace(f" [{recording.owners[at]}]", "")
    planted = "|".join(recording.anomalies)
    assert not any(re.search(planted, one.text) for one in endless.sent)


@pytest.mark.slow
def test_no_block_that_trains_is_anomalous_or_goes_on_in_the_replay(
    data: Path, tmp_path: Path
) -> None:
    scenario = hdfs_raw(data, tmp_path, 0)

    replayed = {block for one in scenario.sent for block in re.findall(r"blk_-?\d+", one.text)}
    assert replayed <= scenario.train.exclude
    assert scenario.anomalies.keys() <= scenario.train.exclude
    known = set(re.findall(r"blk_-?\d+", scenario.train.logs[0].read_text()))
    assert known & replayed  # some are joined in the middle
    assert len(known - scenario.train.exclude) > 4000


@pytest.mark.slow
def test_alerts_of_all_hosts_are_replayed_in_the_order_of_time(data: Path, tmp_path: Path) -> None:
    scenario = ait_ads_hosthour(data, tmp_path, 0)

    times = [one.time or 0.0 for one in scenario.sent]
    assert all(one <= other for one, other in pairwise(times))
    assert len(scenario.anomalies) == 212
    assert all(
        at is not None and scenario.sent[at].stream == stream
        for stream, at in scenario.anomalies.items()
    )
