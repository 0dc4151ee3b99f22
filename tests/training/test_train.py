"""From logs to a model folder, as a user asks for it."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offscript.model.alert import DETECTORS
from offscript.model.detector import Detector
from offscript.model.errors import BudgetError, InputError, LogError
from offscript.model.folder import load_model
from offscript.model.logs import read_lines
from offscript.training.config import TrainConfig
from offscript.training.corpus import read_ids
from offscript.training.train import train_model

KEY = r"session=(\w+)"


def config(log: Path, out: Path, **asked: Any) -> TrainConfig:
    """A few steps, and one fit unless a test is about the folds: they take four more."""
    few = TrainConfig((log,), out, stream_key=KEY, steps=40, newest=True, quiet=True)
    return replace(few, **asked)


def silent(_: str) -> None:
    """Nothing is reported."""


def sequences(path: Path, count: int) -> Path:
    """Streams of ready names: opened, read or written to, shut."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for number in range(count):
            events = ["open", *rng.choice(["read", "write"], rng.integers(1, 6)), "shut"]
            file.write(json.dumps({"id": f"s{number}", "events": [str(e) for e in events]}) + "\n")
    return path


def test_a_report_tells_what_was_read_learned_and_promised(tiny_log: Path, tmp_path: Path) -> None:
    said: list[str] = []

    model = train_model(config(tiny_log, tmp_path / "m"), said.append)

    text = "\n".join(said)
    budget = "budget: 1/181 streams (0.0055 false alerts a stream), the smallest that 180 held-out"
    for part in ("600 streams", "of silence", budget, "kinds of events", "bigram control"):
        assert part in text
    assert load_model(tmp_path / "m").sha256 == model.sha256
    assert not list(tmp_path.glob(".m.checkpoint*"))


@pytest.mark.slow
def test_the_same_seed_trains_the_same_model(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)

    one, two = (
        train_model(replace(config(log, tmp_path / name, newest=False), stream_key=None), silent)
        for name in ("one", "two")
    )

    np.testing.assert_array_equal(one.weights.W_E, two.weights.W_E)
    assert one.calibration == two.calibration


def test_few_streams_are_each_calibrated_by_a_decoder_that_did_not_see_them(
    tmp_path: Path,
) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)

    model = train_model(replace(config(log, tmp_path / "m", newest=False), stream_key=None), silent)

    assert model.summary["folds"] == 4
    assert model.summary["fitted"] == model.summary["calibrated"] == 60
    assert model.held["whole"].shape == model.held["joined"].shape == (60, len(DETECTORS))
    assert model.calibration.whole.streams == 60
    assert load_model(tmp_path / "m").held["whole"].dtype == np.float32
    assert model.history["stages"][-1]["step"] == model.summary["steps"]
    assert model.history["loss_bigram"] is None  # the control had other streams, so other events
    assert not list(tmp_path.glob(".m.checkpoint*"))


def test_the_newest_streams_can_be_held_out(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)

    asked = replace(config(log, tmp_path / "m", newest=True), stream_key=None)
    model = train_model(asked, silent)

    assert (model.summary["folds"], model.summary["fitted"]) == (0, 42)
    assert model.calibration.whole.streams == 18


def test_excluded_streams_teach_nothing(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)
    with log.open("a") as file:
        for number in range(5):
            file.write(json.dumps({"id": f"bad{number}", "events": ["steal", "steal"]}) + "\n")
    excluded = frozenset(f"bad{number}" for number in range(5))

    asked = replace(config(log, tmp_path / "m", exclude=excluded), stream_key=None)
    model = train_model(asked, silent)

    assert "steal" not in model.vocabulary.names


def test_sequences_kept_for_testing_teach_nothing(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)
    with log.open("a") as file:
        record = {"id": "t", "events": ["steal", "steal"], "split": "test", "label": 1}
        file.write(json.dumps(record) + "\n")

    model = train_model(replace(config(log, tmp_path / "m"), stream_key=None), silent)

    assert "steal" not in model.vocabulary.names


def test_an_impossible_budget_is_refused_before_the_training(
    tiny_log: Path, tmp_path: Path
) -> None:
    with pytest.raises(BudgetError, match="the smallest that this data supports is 1/"):
        train_model(config(tiny_log, tmp_path / "m", budget="1/1000 streams"), silent)
    assert not (tmp_path / "m").exists()


def test_a_key_that_matches_nothing_is_answered_with_candidates(
    tiny_log: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"job=.*session"):
        train_model(config(tiny_log, tmp_path / "m", stream_key=r"job=(\d+)"), silent)


@pytest.mark.slow
def test_auto_proposes_the_key(tiny_log: Path, tmp_path: Path) -> None:
    said: list[str] = []
    log = tmp_path / "shop.log"
    log.write_text("".join(tiny_log.read_text().splitlines(keepends=True)[:1500]))

    model = train_model(config(log, tmp_path / "m", stream_key="auto"), said.append)

    assert "session" in (model.config.events.stream_key or "")
    assert any(line.startswith("stream key: ") for line in said)


def test_what_a_mask_matches_makes_no_template_of_its_own(tmp_path: Path) -> None:
    colours = ("red", "green", "blue")
    path = tmp_path / "paint.log"
    path.write_text(
        "".join(
            f"2026-03-01 12:{n // 60:02d}:{n % 60:02d} session={n} {verb} {colours[n % 3]} paint\n"
            for n in range(300)
            for verb in ("opened", "closed")
        )
    )

    asked = config(path, tmp_path / "m", masks=(("red|green|blue", "<*>"),))
    model = train_model(asked, silent)

    names = {name for name in model.vocabulary.names if "paint" in name}
    assert names == {f"session=<*> {verb} <*> paint" for verb in ("opened", "closed")}


def test_a_handful_of_streams_is_too_few(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 5)

    with pytest.raises(InputError, match="5 streams are too few"):
        train_model(replace(config(log, tmp_path / "m"), stream_key=None), silent)


def test_an_empty_log_and_a_binary_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_text("")
    (tmp_path / "binary.log").write_bytes(bytes(range(256)) * 50)

    for name in ("empty.log", "binary.log"):
        with pytest.raises(LogError, match=name):
            train_model(config(tmp_path / name, tmp_path / "m"), silent)


def test_a_vocabulary_of_one_event_trains(tmp_path: Path) -> None:
    log = tmp_path / "s.jsonl"
    with log.open("w") as file:
        for number in range(40):
            file.write(json.dumps({"id": number, "events": ["tick"] * (1 + number % 3)}) + "\n")

    model = train_model(replace(config(log, tmp_path / "m"), stream_key=None), silent)

    seen = Detector(model).observe(["a"], ["tick"], np.array([np.nan]), started={"a"})
    assert seen.surprisal[0] < 1.0


def test_fewer_layers_can_be_asked_for(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)

    for layers in (0, 1):
        asked = replace(config(log, tmp_path / "m", layers=layers), stream_key=None)
        assert train_model(asked, silent).weights.n_layers == layers


def test_what_one_layer_can_do_is_found_out_on_demand_and_how_it_formed_in_any_case(
    tmp_path: Path,
) -> None:
    log = sequences(tmp_path / "s.jsonl", 60)
    said: list[str] = []

    asked = replace(config(log, tmp_path / "m", compare_layers=True), stream_key=None)
    model = train_model(asked, said.append)

    losses = model.summary["losses"]
    assert f"one layer {losses['one_layer']:.4f}" in "\n".join(said)
    assert model.history["loss_bigram"] > 0.0
    assert [stage["step"] for stage in model.history["stages"]][:2] == [0, 8]
    assert load_model(tmp_path / "m").history == model.history


def test_an_endless_log_is_calibrated_on_blocks_of_time(tiny_endless_model: Path) -> None:
    model = load_model(tiny_endless_model)

    assert model.config.streams.endless
    assert model.config.streams.block_seconds > 0
    assert "day" in model.calibration.budget


def test_an_endless_log_without_times_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("tick\ntock\n" * 500)

    with pytest.raises(InputError, match="no times"):
        train_model(replace(config(tmp_path / "a.log", tmp_path / "m"), stream_key=None), silent)


@pytest.mark.slow
def test_streams_that_are_no_normals_set_no_threshold_and_are_named(tmp_path: Path) -> None:
    log = sequences(tmp_path / "s.jsonl", 400)
    bad = {f"bad{number}, odd" for number in range(8)}
    rng = random.Random(0)
    with log.open("a") as file:
        for key in bad:
            events = [rng.choice(["open", "read", "write", "shut"]) for _ in range(30)]
            events[15] = f"fault of {key}"
            file.write(json.dumps({"id": key, "events": events}) + "\n")
    asked = replace(config(log, tmp_path / "m", steps=150, newest=False), stream_key=None)
    said: list[str] = []

    model = train_model(asked, said.append)

    assert "8 of 408 streams lie far outside of what the others do" in "\n".join(said)
    assert "budget: 1/401 streams instead of 1/409 streams, the smallest that the" in "\n".join(
        said
    )
    assert model.calibration.rate == pytest.approx(1 / 401)
    assert model.calibration.whole.streams == len(model.held["whole"]) == 400
    assert read_ids(read_lines([tmp_path / "m.oddest"]), label=1) == bad
    assert "oddest streams are in" in "\n".join(said)

    said.clear()
    train_model(replace(asked, steps=40, exclude=frozenset(bad)), said.append)

    assert "far outside" not in "\n".join(said)
    assert read_ids(read_lines([tmp_path / "m.oddest"]), label=1) == bad  # for the next time

    said.clear()
    kept = train_model(replace(asked, steps=40, keep_outliers=True), said.append)

    assert "far outside" not in "\n".join(said)
    assert kept.calibration.whole.streams == 408


@pytest.mark.slow
def test_a_habit_of_one_stream_in_a_hundred_is_not_set_apart(tmp_path: Path) -> None:
    log, rng = sequences(tmp_path / "s.jsonl", 800), np.random.default_rng(0)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in records[::100]:
        for _ in range(int(rng.integers(8, 20))):
            record["events"].insert(int(rng.integers(1, len(record["events"]))), "retry")
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    said: list[str] = []

    asked = replace(config(log, tmp_path / "m", steps=150, newest=False), stream_key=None)
    model = train_model(asked, said.append)

    (line,) = (line for line in said if "far outside" in line)
    assert "pass for a rare habit" in line
    assert {"s100", "s200"} <= set(re.findall(r"s\d+", line))
    assert model.calibration.whole.streams == 800
