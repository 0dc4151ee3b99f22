"""The baselines hear a replay as the product does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.benchmarks.replay_baselines import (
    CountsReplay,
    End,
    NGramReplay,
    Replayer,
    once,
    rounds,
)
from offscript.benchmarks.replay_events import Events, Raised, Sent, read_events
from offscript.model.config import StreamConfig
from offscript.model.detector import Detector
from offscript.model.folder import Model, load_model
from offscript.model.logs import read_lines
from offscript.model.vocabulary import NEW, PAST, START
from offscript.training.config import TrainConfig

KEY = r"session=(\w+)"


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def train(tiny_model: Path, tiny_log: Path) -> TrainConfig:
    return TrainConfig((tiny_log,), tiny_model, stream_key=KEY)


@pytest.fixture(scope="module")
def events(model: Model, tiny_log: Path) -> Events:
    """The second half of the log, with sessions under way where it begins."""
    lines = list(read_lines([tiny_log]))
    return read_events(model, [Sent(line) for line in lines[len(lines) // 2 :]], None)


def ten_seconds(model: Model, *, opening: str) -> Model:
    """The model with an idle time of ten seconds, and streams that open with one event only."""
    streams = StreamConfig(idle_seconds=10.0, openings={opening: 0.0})
    return replace(model, config=replace(model.config, streams=streams))


def at(times: list[float], names: list[str | None], streams: list[str]) -> Events:
    return Events(streams, names, np.array(times), np.arange(len(times)), streams)


def test_a_stream_ends_when_it_is_silent_for_the_idle_time_and_is_as_it_was_when_it_goes_on(
    model: Model,
) -> None:
    one, two = model.vocabulary.names[4:6]
    replayer = Replayer(ten_seconds(model, opening=one))
    replayer.observe(at([0.0, 5.0, 15.1], [one, two, two], ["s"] * 3))

    assert replayer.ends == [End("s", 2, 15.0)]

    replayer.observe(at([40.0], [one], ["s"]))

    assert replayer.ends[-1] == End("s", 3, 25.1)
    assert len(replayer.lives["s"].tokens) == 5


def test_streams_that_are_silent_in_the_end_are_ended_once(model: Model) -> None:
    one, two = model.vocabulary.names[4:6]
    replayer = Replayer(ten_seconds(model, opening=one))
    replayer.observe(at([0.0, 8.0], [one, one], ["s", "t"]))

    replayer.end_idle(10.0)
    assert replayer.ends == []
    replayer.end_idle(11.0)
    replayer.end_idle(12.0)
    assert replayer.ends == [End("s", 1, 10.0)]
    replayer.observe(at([30.0], [two], ["s"]))
    assert replayer.ends == [End("s", 1, 10.0)]


def test_a_stream_whose_beginning_was_not_seen_is_joined(model: Model) -> None:
    one, two = model.vocabulary.names[4:6]
    replayer = Replayer(ten_seconds(model, opening=one))
    replayer.observe(at([0.0, 1.0, 2.0], [one, two, None], ["begun", "joined", "new"]))

    assert [life.joined for life in replayer.lives.values()] == [False, True, True]
    assert [life.tokens[0] for life in replayer.lives.values()] == [START, PAST, PAST]
    assert replayer.lives["new"].tokens[1] == NEW


def test_it_joins_and_keeps_the_same_streams_as_the_product(model: Model, events: Events) -> None:
    replayer = Replayer(model)
    replayer.observe(events)
    detector = Detector(model)
    for index in range(len(events)):
        detector.observe(
            events.stream[index : index + 1],
            events.name[index : index + 1],
            events.time[index : index + 1],
        )

    joined = [life.joined for life in replayer.lives.values()]
    assert joined == detector.joined(list(replayer.lives)).tolist()
    assert 0 < sum(joined) < len(joined) / 2


@pytest.mark.parametrize("kind", [NGramReplay, CountsReplay])
def test_on_normal_streams_a_baseline_raises_about_what_was_budgeted(
    kind: type[NGramReplay | CountsReplay], model: Model, train: TrainConfig, events: Events
) -> None:
    replayer = Replayer(model)
    replayer.observe(events)
    replayer.end_idle(events.time[-1] + model.config.streams.idle_seconds + 1.0)
    heard = kind(model, rounds(model, train), seed=0).hear(replayer)

    streams = {alert.stream for alert in heard.alerts}
    assert len(streams) <= 10 * model.calibration.rate * len(replayer.lives)


def test_the_held_out_streams_are_as_many_as_the_threshold_was_set_on(
    model: Model, train: TrainConfig
) -> None:
    assert sum(len(part.held) for part in rounds(model, train)) == model.calibration.whole.streams


def test_the_ngram_says_where_a_session_goes_off_script_and_what_was_expected(
    model: Model, train: TrainConfig, events: Events
) -> None:
    odd = next(at for at, name in enumerate(events.name) if name and "checkout" in name)
    names = list(events.name)
    names[odd] = None
    replayer = Replayer(model)
    replayer.observe(replace(events, name=names))
    heard = NGramReplay(model, rounds(model, train), seed=0).hear(replayer)

    stream = events.stream[odd]
    position = events.stream[: odd + 1].count(stream)
    found = [a for a in heard.alerts if a.stream == stream and a.position == position]
    assert [(alert.observed, alert.unknown) for alert in found] == [("<new>", True)]
    assert found[0].expected in model.vocabulary.names
    assert found[0].expected != "<new>"


def test_counts_are_judged_when_a_stream_ends_and_name_what_they_lack(
    model: Model, train: TrainConfig, events: Events
) -> None:
    stream = next(
        key
        for key, name in zip(events.stream, events.name, strict=True)
        if name and "backup" in name and "started" in name
    )
    name = next(n for k, n in zip(events.stream, events.name, strict=True) if k == stream)
    long = at([float(n) for n in range(40)], [name] * 40, [stream] * 40)
    replayer = Replayer(model)
    replayer.observe(long)
    counts = CountsReplay(model, rounds(model, train), seed=0)

    assert counts.hear(replayer).alerts == []

    replayer.end_idle(40.0 + model.config.streams.idle_seconds)

    (alert,) = counts.hear(replayer).alerts
    assert (alert.observed, alert.position, alert.unknown) == ("<end>", 40, False)
    replayer.lives[stream].tokens[7] = NEW
    assert counts.hear(replayer).alerts[0].unknown


def test_a_cause_is_one_alert_until_it_was_not_seen_for_an_hour() -> None:
    times = [0.0, 3600.0, 7200.0, 10_801.0]
    raised = [Raised("s", "ngram", "x", "", time, n) for n, time in enumerate(times, start=1)]

    assert [(alert.time, alert.count) for alert in once(raised)] == [(0.0, 3), (10_801.0, 1)]
