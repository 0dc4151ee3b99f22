"""The same streams under two models: alerts that come and go, and how far scores move."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.errors import InputError
from offscript.model.event import EventConfig
from offscript.model.folder import Model, load_model
from offscript.model.logs import STANDARD_INPUT
from offscript.model.vocabulary import Vocabulary
from offscript.training.compare import Judgement, Shift, compare, kept_streams, logged_streams
from offscript.training.shift_text import shift_text


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def deaf(model: Model) -> Model:
    """The model with a threshold that all streams pass."""
    calibration = model.calibration
    low = (replace(each, threshold=-1.0) for each in (calibration.whole, calibration.joined))
    whole, joined = low
    return replace(model, calibration=replace(calibration, whole=whole, joined=joined, rate=1.0))


def test_windows_that_a_folder_keeps_are_streams_again(model: Model) -> None:
    streams = kept_streams(model)

    first = streams[0]
    assert len({stream.key for stream in streams}) == len(streams)
    assert first.started
    assert first.ended
    assert "<end>" not in first.names
    total = sum(len(s.names) + s.ended for s in streams)
    assert total == int(model.reference["window_lengths"].sum()) - len(streams)


def test_a_model_beside_itself_changes_nothing(model: Model) -> None:
    shift = compare(model, model, [])

    assert shift
    assert shift.judgements
    assert not shift.appeared()
    assert not shift.vanished()
    assert all(judgement.moved == 0.0 for judgement in shift.judgements)


def test_alerts_that_come_and_go_are_told(model: Model, tiny_log: Path) -> None:
    shift = compare(model, deaf(model), [tiny_log])
    back = compare(deaf(model), model, [tiny_log])

    assert shift
    assert back
    quiet = [each.stream for each in shift.judgements if not each.alert_before]
    assert sorted(each.stream for each in shift.appeared()) == sorted(quiet)
    assert shift.appeared()[0].after == max(each.after for each in shift.appeared())
    assert len(back.vanished()) == len(shift.appeared())
    assert (shift.rate_before, shift.rate_after) == (model.calibration.rate, 1.0)


def test_events_that_the_other_model_does_not_know_are_new_to_it(model: Model) -> None:
    names = tuple(f"{name}!" if at > 3 else name for at, name in enumerate(model.vocabulary.names))
    stranger = replace(model, vocabulary=Vocabulary(names, model.vocabulary.counts))

    shift = compare(model, stranger, [])

    assert shift
    assert len(shift.appeared()) > 0.9 * len(shift.judgements)


def test_an_endless_model_is_compared_by_blocks_of_a_log(
    tiny_endless_model: Path, tiny_endless_log: Path, model: Model
) -> None:
    endless = load_model(tiny_endless_model)

    shift = compare(endless, deaf(endless), [tiny_endless_log])

    assert compare(endless, endless, []) is None
    assert "give a log with --streams" in shift_text(None, "blocks")
    assert shift is not None
    assert shift.judgements[0].stream == "block 0"
    assert len(shift.appeared()) > 0.5 * len(shift.judgements)
    with pytest.raises(InputError, match="the other blocks of time"):
        compare(endless, model, [tiny_endless_log])


def test_a_shift_is_told_in_96_columns_and_as_json() -> None:
    judgements = [Judgement(f"{'s' * 90}\x1b{n}", 1.0, 9.0, 7.0, 7.0) for n in range(7)]
    shift = Shift((*judgements, Judgement("none", -math.inf, -math.inf, 7.0, 7.0)), 0.1, 0.1)

    shown = shift_text(shift, "streams")

    assert "8 streams: alerts in 0 before, 7 after" in shown
    assert "… 2 more" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 96
    value = json.loads(json.dumps(shift.to_json(), allow_nan=False))
    assert value["judgements"][-1]["before"] is None
    assert np.isfinite(value["rate_after"])


def test_of_a_log_the_streams_that_ended_last_can_be_taken_alone(
    model: Model, tiny_log: Path
) -> None:
    every = logged_streams(model, [tiny_log])
    ends = {stream.key: float(stream.times[-1]) for stream in every}
    latest = max(ends.values())
    seconds = (latest - min(ends.values())) / 3.0

    last = logged_streams(model, [tiny_log], seconds=seconds)
    shift = compare(model, model, [tiny_log], seconds=seconds, without={last[0].key})

    assert 0 < len(last) < len(every)
    assert {s.key for s in last} == {key for key, end in ends.items() if end >= latest - seconds}
    assert shift
    assert {j.stream for j in shift.judgements} == {stream.key for stream in last[1:]}


def test_a_log_that_two_models_read_is_no_standard_input(model: Model) -> None:
    with pytest.raises(InputError, match="standard input can be read but once"):
        compare(model, model, [STANDARD_INPUT])


def test_sequences_are_judged_whatever_split_they_are_of_unless_one_is_asked_for(
    model: Model, tmp_path: Path
) -> None:
    events = EventConfig("sequences")
    ready = replace(model, config=replace(model.config, events=events))
    log = tmp_path / "s.jsonl"
    records = [
        {"id": split or "none", "events": list(model.vocabulary.names[4:9]), "split": split}
        for split in ("train", "test", None)
    ]
    log.write_text("".join(json.dumps(record) + "\n" for record in records))

    every = compare(ready, ready, [log])
    learned = compare(ready, ready, [log], split=lambda split: split in (None, "train"))

    assert every is not None
    assert learned is not None
    assert {judged.stream for judged in every.judgements} == {"train", "test", "none"}
    assert {judged.stream for judged in learned.judgements} == {"train", "none"}
    with pytest.raises(InputError, match="no stream is left to judge"):
        logged_streams(ready, [log], split=lambda split: split == "other")
