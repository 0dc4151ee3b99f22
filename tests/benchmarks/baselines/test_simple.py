"""Methods that only count: new events, length, count vectors, trees on counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offscript.benchmarks.baselines.baseline import Tokens, Training
from offscript.benchmarks.baselines.counts import Counts
from offscript.benchmarks.baselines.forest import Forest
from offscript.benchmarks.baselines.length import Length
from offscript.benchmarks.baselines.new_event import NewEvent
from offscript.model.vocabulary import NEW
from offscript.training.batches import Sequences

from .conftest import OPEN, READ, SHUT, WRITE, stream


def test_new_events_are_counted(training: Training) -> None:
    streams = [stream(OPEN, READ, SHUT), stream(OPEN, NEW, NEW, SHUT)]

    scores = NewEvent(training).score(streams)["new_event"]

    np.testing.assert_array_equal(scores.streams, [0, 2])
    assert scores.events is not None
    np.testing.assert_array_equal(scores.events[1], [0, 1, 1, 0, 0])


def test_a_length_is_as_odd_as_it_is_rare(training: Training) -> None:
    lengths = Sequences([stream(*[READ] * n) for n in (2, 3, 9)], np.array([50, 48, 1]))
    baseline = Length(replace(training, fit=lengths))

    streams = [stream(*[READ] * n) for n in (2, 3, 9, 1, 12, 40)]
    scores = baseline.score(streams)["length"].streams

    # Of 99 streams 50 are as short as 2, 49 as long as 3, one as long as 9, none beyond.
    np.testing.assert_allclose(scores[:3], -np.log([51 / 100, 50 / 100, 2 / 100]))
    np.testing.assert_allclose(scores[3:], np.log(100) + np.log([4 / 3, 14 / 11, 42 / 11]))


def test_counts_forget_the_order_and_notice_what_is_missing(
    training: Training, normals: list[Tokens]
) -> None:
    known = training.fit.tokens[0][1:-1].tolist()
    streams = [stream(*known[::-1]), stream(*known[:-1]), stream(*known, OPEN, OPEN)]

    for scores in Counts(training).score([*normals, *streams]).values():
        turned, cut, doubled = scores.streams[-3:]
        assert turned == 0
        assert min(cut, doubled) > np.quantile(scores.streams[: len(normals)], 0.9)


def test_idf_makes_a_rare_event_weigh_more(training: Training) -> None:
    rare = Sequences([stream(READ, WRITE, WRITE), stream(READ)], np.array([1, 99]))
    baseline = Counts(replace(training, fit=rare))

    scores = baseline.score([stream(READ, WRITE)])

    # Between (1, 2) and (1, 0): log(1 + 100 / 1) for WRITE, log(1 + 100 / 100) for READ.
    w = np.array([np.log(2), np.log(101)])
    x, y = w * [1, 1], w * [1, 2]
    plain = 1 - 3 / np.sqrt(2 * 5)
    weighted = 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    np.testing.assert_allclose(scores["counts_cosine"].streams, plain)
    np.testing.assert_allclose(scores["counts_cosine_idf"].streams, weighted)


def test_trees_part_a_stream_with_odd_counts_first(
    training: Training, normals: list[Tokens]
) -> None:
    odd = stream(OPEN, OPEN, OPEN, *[READ] * 30)

    scores = Forest(training).score([*normals, odd])["isolation_forest"].streams

    assert scores[-1] > scores[:-1].max()


def test_the_same_seed_grows_the_same_trees(training: Training, normals: list[Tokens]) -> None:
    one, two, other = (
        Forest(replace(training, seed=seed)).score(normals)["isolation_forest"].streams
        for seed in (0, 0, 1)
    )

    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
