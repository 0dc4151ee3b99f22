"""The recorded shop: the recording that is shipped, and a small one made now on a real server."""

from __future__ import annotations

import lzma
import os
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from offscript.examples.postgres.labels import (
    FOLDER,
    STREAM_KEY,
    Label,
    Split,
    lines_by_stream,
    read_labels,
    read_split,
)

PREFIX = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC " + STREAM_KEY + r" [A-Z]+:  ")
SMALL = {"sessions": 60, "planted": 11}


class Recording:
    """A folder with a recording, read whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        packed = (folder / "recording.log.xz").read_bytes()
        self.bytes = len(packed)
        self.lines = lzma.decompress(packed).decode().splitlines()
        self.labels: list[Label] = read_labels(folder / "labels.jsonl")
        self.split: Split = read_split(folder / "split.json")
        self.streams = lines_by_stream(self.lines)

    def normal(self) -> set[str]:
        return set(self.streams) - {label.stream for label in self.labels}


def event_type(line: str) -> str:
    """The line without its prefix, its words with digits taken out."""
    return re.sub(r"\S*\d\S*", "*", PREFIX.sub("", line))


@pytest.fixture(scope="module")
def shipped() -> Recording:
    return Recording(FOLDER)


@pytest.fixture(scope="module")
def made_now(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A small recording, made with short pauses."""
    try:
        from offscript.examples.postgres import record, server

        server.find_binaries()
    except ImportError as error:
        no_server(f"{error}: install psycopg[binary]")
    except server.ServerError as error:
        no_server(str(error))
    out = tmp_path_factory.mktemp("recording")
    record.record(out, **SMALL, seed=3, pace=0.2, quiet=True)
    return Recording(out)


def no_server(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=["shipped", "made_now"])
def recording(request: pytest.FixtureRequest) -> Recording:
    value = request.getfixturevalue(request.param)
    assert isinstance(value, Recording)
    return value


def test_labels_quote_the_lines_that_they_point_to(recording: Recording) -> None:
    for label in recording.labels:
        assert recording.lines[label.line - 1] == label.event
        assert f"[{label.stream}]" in label.event
        if label.cause_line is not None:
            assert recording.lines[label.cause_line - 1] == label.cause


def test_a_cause_is_earlier_than_what_it_makes_wrong_and_in_the_same_session(
    recording: Recording,
) -> None:
    with_cause = [label for label in recording.labels if label.cause_line is not None]

    assert len({label.kind for label in with_cause}) >= 5
    for label in with_cause:
        assert label.cause_line is not None
        assert label.cause_line < label.line
        assert {label.cause_line, label.line} <= set(recording.streams[label.stream])


def test_planted_sessions_begin_in_the_last_part(recording: Recording) -> None:
    for label in recording.labels:
        assert recording.split.part(recording.streams[label.stream][0]) == "test"


def test_every_kind_is_planted(recording: Recording) -> None:
    kinds = Counter(label.kind for label in recording.labels)

    assert len(kinds) == 11
    assert max(kinds.values()) - min(kinds.values()) <= 1


def test_every_line_has_the_prefix_or_continues_the_one_before(recording: Recording) -> None:
    for line in recording.lines:
        assert PREFIX.match(line) or line.startswith("\t"), line


def test_lines_are_in_the_order_of_time_but_for_a_moment(
    recording: Recording, shipped: Recording
) -> None:
    # On a machine that is busy just now a session may be kept from writing what it has to say.
    moment = timedelta(seconds=1 if recording is shipped else 10)
    times = [datetime.fromisoformat(line[:23]) for line in recording.lines if PREFIX.match(line)]

    latest = times[0]
    for time in times:
        assert latest - time < moment
        latest = max(latest, time)


def test_sessions_are_interleaved(recording: Recording) -> None:
    spread = [numbers[-1] - numbers[0] + 1 for numbers in recording.streams.values()]
    own = [len(numbers) for numbers in recording.streams.values()]

    assert sum(spread) > 5 * sum(own)


def test_the_parts_count_all_sessions(recording: Recording) -> None:
    parts = recording.split.parts

    assert [part.name for part in parts] == ["train", "calibrate", "test"]
    assert sum(part.sessions for part in parts) == len(recording.streams)
    assert [part.planted for part in parts] == [0, 0, len(recording.labels)]
    assert recording.split.lines == len(recording.lines)


def test_the_log_names_no_path_of_the_machine(recording: Recording) -> None:
    assert not [line for line in recording.lines if re.search(r"[( \"']/(tmp|home|var)/", line)]


def test_the_small_recording_has_the_sessions_asked_for(made_now: Recording) -> None:
    # Some sessions open others beside them.
    assert len(made_now.normal()) >= SMALL["sessions"]
    assert len(made_now.labels) == SMALL["planted"]


def test_the_shipped_recording_is_large_enough_to_learn_from_and_small_to_ship(
    shipped: Recording,
) -> None:
    assert len(shipped.normal()) >= 9000
    assert len(shipped.labels) >= 160
    assert shipped.bytes < 3_000_000


def test_what_is_wrong_is_the_context_not_the_line(shipped: Recording) -> None:
    usual = Counter(
        event_type(shipped.lines[number - 1])
        for stream in shipped.normal()
        for number in shipped.streams[stream]
    )
    rarest: dict[str, int] = {}
    for label in shipped.labels:
        count = usual[event_type(label.event)]
        rarest[label.kind] = min(count, rarest.get(label.kind, count))

    assert sorted(kind for kind, count in rarest.items() if count < 50) == ["sql_injection"]


def test_no_kind_of_line_is_a_rare_one_in_training(shipped: Recording) -> None:
    train = [
        numbers for numbers in shipped.streams.values() if shipped.split.part(numbers[0]) == "train"
    ]
    sessions_with = Counter(
        kind
        for numbers in train
        for kind in {event_type(shipped.lines[number - 1]) for number in numbers}
    )

    assert min(sessions_with.values()) >= 20


def test_the_readme_lists_each_kind_with_how_far_back_its_cause_lies(shipped: Recording) -> None:
    distances: dict[str, list[int]] = {label.kind: [] for label in shipped.labels}
    for label in shipped.labels:
        if label.cause_line is not None:
            numbers = shipped.streams[label.stream]
            back = numbers.index(label.line) - numbers.index(label.cause_line)
            distances[label.kind].append(back)

    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (\S+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    assert {kind: back for kind, back in rows if kind in distances} == {
        kind: f"{min(back)}–{max(back)}" if back else "–" for kind, back in distances.items()
    }
