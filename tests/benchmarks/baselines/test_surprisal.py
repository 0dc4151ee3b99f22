"""Methods that predict the next event are surprised where a stream leaves its script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from offscript.benchmarks.baselines import deeplog
from offscript.benchmarks.baselines.baseline import Baseline, Tokens, Training
from offscript.benchmarks.baselines.control import Control
from offscript.benchmarks.baselines.deeplog import DeepLog, windows_of
from offscript.benchmarks.baselines.ngram import NGramSurprisal
from offscript.model.vocabulary import START
from offscript.training.batches import Sequences

from .conftest import OPEN, READ, SHUT, WRITE, stream

WRONG = stream(OPEN, READ, WRITE, SHUT, WRITE, READ, SHUT)  # goes on after it was shut
CUT = stream(OPEN, READ, READ, WRITE)  # is never shut


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeplog, "_MOST_STEPS", 120)
    monkeypatch.setattr(deeplog, "_EVERY", 20)


@pytest.mark.parametrize(
    ("fit", "name"),
    [(NGramSurprisal, "ngram_max"), (Control, "control_max"), (DeepLog, "deeplog")],
)
def test_what_is_off_the_script_surprises_most(
    fit: Callable[[Training], Baseline], name: str, training: Training, normals: list[Tokens]
) -> None:
    scores = fit(training).score([*normals, WRONG, CUT])[name]

    assert scores.running
    assert scores.streams[-2:].min() > scores.streams[:-2].max()
    assert scores.events is not None
    assert int(scores.events[-2].argmax()) == 4  # WRITE, right after SHUT
    assert int(scores.events[-1].argmax()) == 4  # the end, right after WRITE


@pytest.mark.parametrize(("fit", "name"), [(NGramSurprisal, "ngram"), (Control, "control")])
def test_the_mean_is_that_of_all_events_and_the_end(
    fit: Callable[[Training], Baseline], name: str, training: Training, normals: list[Tokens]
) -> None:
    scores = fit(training).score(normals)

    events = scores[f"{name}_max"].events
    assert events is not None
    np.testing.assert_allclose(scores[f"{name}_mean"].streams, [one.mean() for one in events])


def test_the_control_knows_how_often_one_event_follows_another(training: Training) -> None:
    scores = Control(training).score([stream(OPEN, READ, SHUT)])["control_max"]

    tokens, counts = training.fit.tokens, training.fit.counts
    opened = sum(c for t, c in zip(tokens, counts, strict=True) if t[2] == READ)
    assert scores.events is not None
    assert np.exp(-scores.events[0][1]) == pytest.approx(opened / counts.sum(), abs=0.05)


def test_deeplogs_rule_asks_for_the_nine_most_likely_events(training: Training) -> None:
    loop = Sequences.of([stream(*range(4, 24))] * 20)
    baseline = DeepLog(replace(training, fit=loop, held=loop, d_vocab=24))

    scores = baseline.score([stream(*range(4, 24)), stream(4, 23, 4)])["deeplog_top9"]

    assert scores.rule == 8
    assert scores.streams[0] <= scores.rule < scores.streams[1]


def test_the_same_seed_trains_the_same_network(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deeplog, "_MOST_STEPS", 20)

    one, two, other = (
        DeepLog(replace(training, seed=seed)).score([WRONG])["deeplog"].streams
        for seed in (0, 0, 1)
    )

    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_window_before_the_first_event_is_filled_with_the_beginning() -> None:
    windows, offsets = windows_of([stream(OPEN, SHUT), stream(READ)])

    np.testing.assert_array_equal(offsets, [0, 3, 5])
    np.testing.assert_array_equal(windows[1], [START] * 9 + [OPEN, SHUT])
    np.testing.assert_array_equal(windows[3], [START] * 10 + [READ])
