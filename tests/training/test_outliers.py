"""Streams that are no normals are told from normal ones that are rare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from offscript.model.alert import DETECTORS
from offscript.training.held_out import HeldOut, Statistics, Stream
from offscript.training.outliers import habitual, outliers, set_apart


def streams(odd: Mapping[int, list[str]]) -> list[Stream]:
    """2,000 that open, read twice and shut; what some of them do besides, by number."""
    names = [["open", "read", "read", *odd.get(number, []), "shut"] for number in range(2000)]
    return [Stream(each, np.full(len(each), np.nan), started=True, ended=True) for each in names]


def far_out(rows: slice) -> HeldOut:
    """2,000 streams, of which these are far outside of what the others do."""
    values = np.random.default_rng(5).exponential(size=(2000, len(DETECTORS)))
    values[rows, :4] += 30.0
    nobody = np.zeros(2000, np.bool_)
    return HeldOut(0.0, 0.0, Statistics(values, nobody), Statistics(values, nobody))


def test_those_far_outside_are_found_and_no_others() -> None:
    rng = np.random.default_rng(0)
    scores = rng.exponential(size=3000)
    scores[:40] = rng.uniform(12.0, 20.0, 40)

    assert np.flatnonzero(outliers(scores)).tolist() == list(range(40))


@pytest.mark.parametrize("heavier", [1.0, 1.5, 2.0])
def test_the_tail_of_normal_streams_is_left_alone(heavier: float) -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(500):
        scores = rng.exponential(size=1000)
        tail = scores > np.quantile(scores, 0.95)
        start = scores[~tail].max()
        scores[tail] = start + heavier * (scores[tail] - start)
        found += int(outliers(scores).any())

    assert found <= 1


def test_one_stream_however_far_outside_is_no_evidence() -> None:
    scores = np.random.default_rng(2).exponential(size=1000)
    scores[0] = 1e6

    assert not outliers(scores).any()


def test_streams_that_are_alike_are_one_piece_of_evidence() -> None:
    scores = np.random.default_rng(3).exponential(size=1000)
    scores[:30] = scores.max() + 2.0

    assert not outliers(scores).any()


def test_habits_that_lie_apart_are_none_and_those_above_them_are_found() -> None:
    rng = np.random.default_rng(4)
    # As many streams go each way as an exponential tail has there, with a gap before the last ways.
    habits = np.append(np.arange(0.0, 5.0, 0.05), np.arange(6.0, 8.0, 0.05))
    scores = np.repeat(habits, np.ceil(5000 * np.exp(-habits)).astype(int))
    incidents = np.append(scores, habits[-1] + rng.uniform(30.0, 40.0, 5))

    assert not outliers(scores).any()
    assert np.flatnonzero(outliers(incidents)).tolist() == list(range(len(scores), len(incidents)))


@pytest.mark.parametrize("scores", [np.zeros(500), np.arange(50.0), np.full(500, -np.inf)])
def test_scores_without_a_tail_have_no_outliers(scores: np.ndarray) -> None:
    assert not outliers(scores).any()


def test_outliers_among_held_out_streams_set_neither_tails_nor_threshold() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(size=(2000, len(DETECTORS)))
    values[50:100, :4] += 30.0
    nobody = np.zeros(2000, np.bool_)
    held = HeldOut(0.0, 0.0, Statistics(values, nobody), Statistics(values[:, ::-1], nobody))

    normal, apart, _ = set_apart(held, streams({}), count_scale=0.1)

    assert np.flatnonzero(apart).tolist() == list(range(50, 100))
    np.testing.assert_array_equal(normal.whole.values, values[~apart])
    # A stream that is no normal as a whole does not say what one is that is joined in the middle.
    assert len(normal.joined.values) == 1950


def test_what_one_stream_in_thirty_does_is_a_part_of_the_log() -> None:
    _, apart, _ = set_apart(far_out(slice(50, 117)), streams({}), count_scale=0.1)

    assert not apart.any()


@pytest.mark.parametrize("odd", [["resume"], ["open"]], ids=["event", "order"])
def test_what_most_of_those_far_outside_do_is_a_rare_habit(odd: list[str]) -> None:
    everyone = streams(dict.fromkeys(range(50, 76), odd))

    _, apart, habit = set_apart(far_out(slice(50, 100)), everyone, count_scale=0.1)

    assert not apart.any()
    assert np.flatnonzero(habit).tolist() == list(range(50, 100))


def test_those_that_are_mostly_odd_each_in_its_own_way_are_no_habit() -> None:
    own = {row: [f"fault {row}"] for row in range(50, 100)}
    everyone = streams(own | {row: ["resume"] for row in range(50, 74)})

    _, apart, _ = set_apart(far_out(slice(50, 100)), everyone, count_scale=0.1)

    assert np.flatnonzero(apart).tolist() == list(range(50, 100))


def test_what_many_other_streams_do_too_is_not_theirs() -> None:
    far = np.arange(2000) < 10
    among_few = streams({row: ["resume"] for row in range(50)})
    among_many = streams({row: ["resume"] for row in range(51)})

    assert habitual(among_few, far) == 1.0
    assert habitual(among_many, far) == 0.0


def test_those_known_to_be_normal_stay_however_far_outside_they_lie() -> None:
    held, known = far_out(slice(50, 100)), np.arange(2000) < 60

    _, apart, _ = set_apart(held, streams({}), count_scale=0.1, normal=known)

    assert np.flatnonzero(apart).tolist() == list(range(60, 100))


def test_pieces_of_normal_streams_are_normal_however_odd_they_look() -> None:
    rng = np.random.default_rng(6)
    values = rng.exponential(size=(2000, len(DETECTORS)))
    pieces = values.copy()
    pieces[50:100, :4] += 30.0
    nobody = np.zeros(2000, np.bool_)
    held = HeldOut(0.0, 0.0, Statistics(values, nobody), Statistics(pieces, nobody))

    normal, apart, _ = set_apart(held, streams({}), count_scale=0.1)

    assert not apart.any()
    np.testing.assert_array_equal(normal.joined.values, pieces)
