"""The detector keeps the state of many streams and finds what passes a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.alert import DETECTORS
from offscript.model.detector import Detector
from offscript.model.errors import ModelError
from offscript.model.event import EventParser
from offscript.model.folder import Model, load_model
from offscript.model.vocabulary import END, NEW, PAST, START

ScoreSequence = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def events(model: Model, tiny_log: Path) -> tuple[list[str], list[str | None], np.ndarray]:
    """Streams, names and times of the training log, interleaved as they were."""
    parsed = EventParser(model.config.events, model.templates).parse(
        tiny_log.read_text().splitlines()
    )
    return list(parsed.stream), list(parsed.name), parsed.time


def observe_in_pieces(
    detector: Detector, events: tuple[list[str], list[str | None], np.ndarray], size: int
) -> np.ndarray:
    stream, name, time = events
    return np.concatenate(
        [
            detector.observe(stream[i : i + size], name[i : i + size], time[i : i + size]).surprisal
            for i in range(0, len(stream), size)
        ]
    )


def test_all_detectors_of_a_model_read_the_same_tables(model: Model) -> None:
    other = replace(model, weights=replace(model.weights, b_U=model.weights.b_U + 1.0))

    assert Detector(model)._scorer.tables is Detector(model)._scorer.tables
    assert Detector(other)._scorer.tables is not model.tables
    assert Detector(model)._law[2] is Detector(model)._law[2]


def test_interleaved_streams_score_as_each_one_alone(
    model: Model,
    events: tuple[list[str], list[str | None], np.ndarray],
    score_sequence: ScoreSequence,
) -> None:
    stream, name, _ = events
    detector = Detector(model)

    surprisal = observe_in_pieces(detector, events, 500)

    for key in sorted(set(stream))[:20]:
        at = [i for i, k in enumerate(stream) if k == key]
        mark = PAST if detector.joined([key])[0] else START
        tokens = np.array([mark, *model.vocabulary.ids([name[i] for i in at])])
        alone, _ = score_sequence(model.weights, tokens)
        np.testing.assert_allclose(surprisal[at], alone, atol=1e-5)


def test_the_size_of_batches_changes_no_score(
    model: Model, events: tuple[list[str], list[str | None], np.ndarray]
) -> None:
    whole = observe_in_pieces(Detector(model), events, 10**6)
    pieces = observe_in_pieces(Detector(model), events, 7)

    np.testing.assert_array_equal(whole, pieces)


def test_a_restored_detector_goes_on_as_if_it_had_never_stopped(
    model: Model, events: tuple[list[str], list[str | None], np.ndarray]
) -> None:
    stream, name, time = events
    half = len(stream) // 2
    through = Detector(model)
    through.observe(stream[:half], name[:half], time[:half])
    expected = through.observe(stream[half:], name[half:], time[half:])
    first = Detector(model)
    first.observe(stream[:half], name[:half], time[:half])
    second = Detector(model)

    assert first.stale() == [0]
    second.restore({**first.part(0), "clock": first.clock()})
    observed = second.observe(stream[half:], name[half:], time[half:])

    np.testing.assert_array_equal(expected.surprisal, observed.surprisal)
    assert [f.stream for f in expected.findings] == [f.stream for f in observed.findings]


def test_the_parts_that_changed_are_what_a_restart_misses(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.model.streams.PART", 2)
    detector = Detector(model)
    keys = list("abcde")
    opening = next(iter(model.config.streams.openings))
    detector.observe(keys, [opening] * 5, np.arange(5.0), started=set(keys))
    assert detector.stale() == [0, 1, 2]
    for number in detector.stale():
        detector.part(number)

    assert detector.stale() == []
    detector.observe(["d"], [opening], np.array([6.0]))
    assert detector.stale() == [1]
    assert detector.part(1)["length"].tolist() == [2, 3]
    detector.end(["e"])
    assert detector.stale() == [2]


def test_state_of_another_model_is_refused(model: Model) -> None:
    detector = Detector(model)
    snapshot = {**detector.part(0), "clock": detector.clock()}
    snapshot["tally"] = np.zeros((0, 3), np.uint16)

    with pytest.raises(ModelError, match="tally should be"):
        detector.restore(snapshot)


def test_an_unknown_event_is_found_as_new(model: Model) -> None:
    detector = Detector(model)
    detector.observe(
        ["s"], [next(iter(model.config.streams.openings))], np.array([0.0]), started={"s"}
    )

    observed = detector.observe(["s"], ["never seen"], np.array([1.0]))

    assert observed.new == 1
    assert {f.detector for f in observed.findings} & {"new", "event"}
    assert all(f.token == NEW and f.tokens[-1] == NEW for f in observed.findings)


def test_a_stream_that_stops_too_early_is_found_at_its_end(model: Model) -> None:
    detector = Detector(model)
    opening = next(iter(model.config.streams.openings))
    detector.observe(["s"], [opening], np.array([0.0]), started={"s"})

    still = detector.end_idle(model.config.streams.idle_seconds - 1.0)
    ended = detector.end_idle(model.config.streams.idle_seconds + 1.0)

    assert not still.findings
    assert {f.detector for f in ended.findings} & {"end", "counts"}
    assert all(f.token == END for f in ended.findings)
    assert not detector.end_idle(1e9).findings, "a stream ends once"


def test_the_level_of_an_ended_stream_is_its_mean_surprise_after_twenty_usual_events(
    model: Model,
) -> None:
    detector = Detector(model, limits=False)
    names = list(model.vocabulary.names[4:9])
    seen = detector.observe(["s"] * 5, names, np.arange(5.0), started={"s"})

    end = detector.end(["s"])

    surprise = float(seen.surprisal.sum() + end.surprisal.sum())
    level = (surprise - 6 * model.calibration.usual) / 26
    assert detector.statistics(["s"])[0, DETECTORS.index("level")] == pytest.approx(level, rel=1e-5)


def test_a_stream_of_which_several_detectors_are_nearly_sure_is_found_at_its_end(
    model: Model,
) -> None:
    names = list(model.vocabulary.names[4:9])
    plain = Detector(model, limits=False)
    plain.observe(["s"] * 5, names, np.arange(5.0), started={"s"})
    plain.end(["s"])
    statistics = plain.statistics(["s"])[0]
    scores = model.calibration.whole.counted(dict(zip(DETECTORS, statistics, strict=True)))
    joint = float(np.sqrt(sum(score**2 for score in scores.values())))
    between = (max(scores.values()) + joint) / 2
    lenient = replace(model.calibration.whole, threshold=between)
    detector = Detector(replace(model, calibration=replace(model.calibration, whole=lenient)))

    seen = detector.observe(["s"] * 5, names, np.arange(5.0), started={"s"}).findings
    (found,) = detector.end(["s"]).findings

    assert len(scores) > 1
    assert not seen
    assert found.detector == "stream"
    assert found.scores == pytest.approx(scores)
    assert found.statistic == found.score == pytest.approx(joint)


def test_a_late_event_reopens_a_stream_and_finds_it_as_it_was(model: Model) -> None:
    opening = next(iter(model.config.streams.openings))
    names = [n for n in model.vocabulary.names if n != opening][4:6]
    idle = model.config.streams.idle_seconds
    times = np.array([0.0, 1.0])
    paused, steady = Detector(model), Detector(model)
    for detector in (paused, steady):
        detector.observe(["s", "s"], [opening, names[0]], times, started={"s"})

    paused.end_idle(10 * idle)
    late = paused.observe(["s"], [names[1]], np.array([20 * idle]))
    prompt = steady.observe(["s"], [names[1]], np.array([2.0]))

    assert late.surprisal[0] == prompt.surprisal[0]


def test_a_silence_inside_one_batch_is_an_end_too(model: Model) -> None:
    opening = next(iter(model.config.streams.openings))
    late = 2 * model.config.streams.idle_seconds

    observed = Detector(model).observe(
        ["s", "s"], [opening, opening], np.array([0.0, late]), started={"s"}
    )

    assert {f.detector for f in observed.findings} & {"end", "counts"}


def test_an_alert_names_what_was_expected_and_carries_the_window(model: Model) -> None:
    detector = Detector(model)
    opening = next(iter(model.config.streams.openings))
    observed = detector.observe(["s", "s"], [opening, None], np.array([0.0, 1.0]), started={"s"})

    alert = detector.alert(observed.findings[0], ["first", "second"])

    assert alert.lines[-2:] == ("first", "second")
    assert alert.text == "second"
    assert alert.tokens == (START, *model.vocabulary.ids([opening]), NEW)
    assert 0.0 < alert.expected_probability <= 1.0
    assert alert.score > alert.threshold


def test_findings_that_do_not_fit_one_call_all_arrive(model: Model) -> None:
    never = replace(model.calibration.whole, threshold=-1.0)
    eager = replace(model, calibration=replace(model.calibration, whole=never, joined=never))
    keys = [str(i) for i in range(300)]

    observed = Detector(eager).observe(keys, [None] * 300, np.zeros(300), started=set(keys))

    assert {f.stream for f in observed.findings if f.detector == "new"} == set(keys)


def test_endless_streams_start_afresh_with_each_block(tiny_endless_model: Path) -> None:
    model = load_model(tiny_endless_model)
    seconds = model.config.streams.block_seconds
    detector = Detector(model)

    detector.observe([""] * 2, [None, None], np.array([0.0, 0.1]))
    before = detector.statistics([""])[0]
    detector.observe([""], [None], np.array([seconds]))
    after = detector.statistics([""])[0]

    assert before[3] == pytest.approx(np.log2(3.0))
    assert after[3] == 1.0


def test_several_detectors_that_are_nearly_sure_are_found_at_the_event_that_makes_it_so(
    model: Model,
) -> None:
    names = list(model.vocabulary.names[4:9])
    plain = Detector(model, limits=False)
    plain.observe(["s"] * 5, names, np.arange(5.0), started={"s"})
    statistics = dict(zip(DETECTORS, plain.statistics(["s"])[0], strict=True))
    scores = model.calibration.whole.counted(statistics)
    joint = float(np.sqrt(sum(score**2 for score in scores.values())))
    between = (max(scores.values()) + joint) / 2
    lenient = replace(model.calibration.whole, threshold=between)
    detector = Detector(replace(model, calibration=replace(model.calibration, whole=lenient)))

    found = detector.observe(["s"] * 5, names, np.arange(5.0), started={"s"}).findings

    assert set(scores) == {"event", "drift"}
    assert [finding.detector for finding in found] == ["stream"], "it is said once"
    assert found[0].token != END
    assert between < found[0].statistic <= joint + 1e-9


def test_an_opening_begins_a_stream_once_all_streams_are_known_for_long_enough(
    model: Model,
) -> None:
    opening, other = model.vocabulary.names[4:6]
    streams = replace(model.config.streams, openings={opening: 5.0}, idle_seconds=60.0)
    detector = Detector(
        replace(model, config=replace(model.config, streams=streams)), max_streams=2
    )
    keys, names = ["a", "b", "c"], [opening, other, opening]
    for key, name, time in zip(keys, names, [0.0, 6.0, 6.0], strict=True):
        detector.observe([key], [name], np.array([time]))

    assert detector.joined(["b", "c"]).tolist() == [True, False]

    # To make room for c it forgot a, silent since 0; now b, since 6, which e may be.
    for key in ("d", "e"):
        detector.observe([key], [opening], np.array([10.0]))

    assert detector.joined(["d", "e"]).tolist() == [False, True]


def test_a_finding_tells_the_times_of_the_events_before_it(model: Model) -> None:
    detector = Detector(model)
    names = list(model.vocabulary.names[4:9]) * 20
    times = 1.7e9 + np.cumsum(np.tile([0.001, 2.5, 0.25, 1000.0], 25))
    times[[7, 30]] = np.nan
    detector.observe(["s"] * 100, names, times, started={"s"})

    finding = detector.observe(["s"], ["never seen"], np.array([times[-1] + 9.0])).findings[0]

    told = np.array(finding.times)
    assert told[-1] == times[-1] + 9.0
    np.testing.assert_allclose(told[-65:-1], times[-64:], atol=1e-3)
    assert np.all(np.isnan(told[:-65])), "older ones are not kept"


def test_events_earlier_than_the_one_before_in_their_stream_are_counted(model: Model) -> None:
    detector = Detector(model)
    name = model.vocabulary.names[NEW + 1]

    def late(streams: str, times: list[float]) -> int:
        return detector.observe(list(streams), [name] * len(times), np.array(times, float)).late

    assert late("aabb", [5.0, 6.0, 1.0, 2.0]) == 0
    assert late("abab", [4.0, 2.0, 5.0, 1.0]) == 2
    assert late("aab", [np.nan, 4.9, 1.0]) == 1
    assert late("a" * 600, [*range(600, 0, -1)]) == 599
