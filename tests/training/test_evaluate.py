"""What a model makes of labelled streams, told by streams, by events and by parts of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.calibration import GRAIN, conformal_threshold
from offscript.model.folder import Model, load_model
from offscript.model.logs import read_lines
from offscript.training.corpus import read_labelled
from offscript.training.evaluate import (
    alert_places,
    calibrating_scores,
    evaluate,
    event_scores,
    stream_scores,
    table,
)
from offscript.training.held_out import Stream, tokens_of
from offscript.training.partition import judged

ScoreSequence = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def streams(model: Model, tiny_log: Path) -> list[Stream]:
    """Sixty normal streams, and the same turned round."""
    corpus = read_labelled(model, [tiny_log], labels={}, only=None).select(range(60))
    normal = judged(corpus, model.config.streams, complete=True)
    return [*normal, *(replace(stream, names=stream.names[::-1]) for stream in normal)]


def test_the_whole_is_at_least_the_larger_of_its_parts_and_at_most_both(
    model: Model, streams: list[Stream]
) -> None:
    scores = stream_scores(model, streams).by_method

    parts = np.stack([scores["offscript_decoder"], scores["offscript_counts"]])
    assert (scores["offscript"] >= parts.max(axis=0) - 1e-12).all()
    assert (scores["offscript"] <= np.hypot(*parts) + 1e-12).all()


def test_the_scores_of_streams_that_calibrated_set_the_threshold_that_is_served(
    model: Model,
) -> None:
    scores = calibrating_scores(model)["offscript"]

    threshold = conformal_threshold(scores, model.calibration.rate) + GRAIN
    assert threshold == pytest.approx(model.calibration.whole.threshold, abs=1e-6)


def test_an_open_stream_has_no_counts_to_judge(model: Model, streams: list[Stream]) -> None:
    still_open = [replace(stream, ended=False) for stream in streams]

    scores = stream_scores(model, still_open).by_method

    assert np.isneginf(scores["offscript_counts"]).all()
    assert np.isfinite(scores["offscript"]).all()


def test_streams_turned_round_raise_alerts_and_normal_ones_hardly(
    model: Model, streams: list[Stream]
) -> None:
    alerts = stream_scores(model, streams).alerts()

    assert alerts[:60].sum() <= 3
    assert alerts[60:].sum() >= 55


def test_alerts_have_places_in_the_streams_that_raise_them(
    model: Model, streams: list[Stream]
) -> None:
    places = alert_places(model, streams)

    alerts = stream_scores(model, streams).alerts()
    np.testing.assert_array_equal([len(found) > 0 for found in places], alerts)
    for stream, found in zip(streams, places, strict=True):
        assert all(0 <= place <= len(stream.names) for place in found.tolist())


def test_an_event_has_its_surprisal_and_that_of_what_came_next(
    model: Model, streams: list[Stream], score_sequence: ScoreSequence
) -> None:
    ended, still_open = streams[0], replace(streams[1], ended=False)

    scores = event_scores(model, [ended, still_open])

    for stream, found in zip((ended, still_open), scores, strict=True):
        own, _ = score_sequence(model.weights, tokens_of(model.vocabulary, stream))
        after = np.append(own, [0.0, 0.0])
        expected = (after[:-2] + after[1:-1] + after[2:] / 2)[: len(stream.names)]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_evaluation_shows_parts_and_baselines_in_one_table(
    model: Model, tiny_log: Path, tmp_path: Path
) -> None:
    lines = list(read_lines([tiny_log]))
    bad = f"{lines[-1][:23]} session=bad001 admin: console closed"
    log = tmp_path / "log"
    log.write_text("\n".join([*lines, bad, bad]) + "\n")
    corpus = read_labelled(model, [log], labels={"bad001": 1}, only=None)

    evaluation = evaluate(model, corpus, complete=True)

    text = table(evaluation)
    for method in ("offscript", "offscript_decoder", "offscript_counts", "count vectors"):
        assert method in text
    assert (evaluation.normal, evaluation.anomalous) == (600, 1)
    assert evaluation.measures["offscript"]["caught"] == 1.0
    assert "caught" not in evaluation.measures["offscript_counts"]
