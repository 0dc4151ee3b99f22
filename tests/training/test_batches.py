"""Crops and batches hold every event once, with the weight of the streams they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.model.vocabulary import END, NEW, PAST, START
from offscript.training import batches
from offscript.training.batches import LONGEST, Sequences, epoch, held_out


def sequences(lengths: list[int]) -> Sequences:
    rng = np.random.default_rng(0)
    return Sequences.of(
        [np.array([START, *rng.integers(4, 9, n), END], dtype=np.int32) for n in lengths]
    )


def test_equal_sequences_are_counted() -> None:
    tokens = np.array([START, 4, END], np.int32)

    counted = Sequences.of([tokens] * 40 + [np.array([START, 5, END], np.int32)])

    assert counted.counts.tolist() == [40, 1]
    assert counted.events == 41 * 2


def test_held_out_batches_hold_every_event_once() -> None:
    data = sequences([5, 30, 3 * LONGEST, LONGEST - 1])

    total = sum(float(batch.weight.sum()) for batch in held_out(data, batch_tokens=500))

    assert total == data.events


def test_an_epoch_weighs_equal_streams_as_their_number() -> None:
    tokens = np.array([START, 4, END], np.int32)
    data = Sequences.of([tokens] * 100)

    total = sum(
        float(b.weight.sum()) for b in epoch(data, np.random.default_rng(0), batch_tokens=64)
    )

    assert total == pytest.approx(200.0)


def test_all_batches_of_an_epoch_have_one_scale_and_none_is_far_heavier() -> None:
    tokens = np.array([START, 4, END], np.int32)
    data = Sequences.of([*[tokens] * 3000, *sequences([60] * 40).tokens])

    found = list(epoch(data, np.random.default_rng(0), batch_tokens=300))

    weights = [float(batch.weight.sum()) for batch in found]
    (scale,) = {batch.scale for batch in found}
    assert scale == pytest.approx(np.mean(weights))
    assert max(weights) < 4 * np.mean(weights)


def test_crops_begin_with_past_and_go_on_to_the_end() -> None:
    data = sequences([40] * 200)

    found = list(epoch(data, np.random.default_rng(1), batch_tokens=2000))

    firsts = np.concatenate([batch.inputs[:, 0] for batch in found])
    assert set(firsts.tolist()) == {START, PAST}
    assert 0.05 < (firsts == PAST).mean() < 0.3
    for batch in found:
        last = (batch.weight > 0).sum(axis=1) - 1
        assert (batch.targets[np.arange(len(last)), last] == END).all()


def test_long_streams_are_cut_and_only_their_first_piece_begins_with_start() -> None:
    data = sequences([5 * LONGEST])

    found = list(epoch(data, np.random.default_rng(2), batch_tokens=10**6))

    rows = np.concatenate([batch.inputs[:, 0] for batch in found]).tolist()
    assert rows.count(START) == 1
    assert rows.count(PAST) >= 4
    assert max(batch.inputs.shape[1] for batch in found) < LONGEST


def test_some_inputs_are_shown_as_new_and_no_target_is() -> None:
    data = sequences([100] * 50)

    found = list(epoch(data, np.random.default_rng(3), batch_tokens=5000))

    assert sum(int((batch.inputs == NEW).sum()) for batch in found) > 0
    assert not any((batch.targets == NEW).any() for batch in found)


def test_a_corpus_too_large_to_be_sorted_at_once_is_still_seen_once_an_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = sequences([20, 30, 50] * 40)
    monkeypatch.setattr(batches, "_CROP_SHARE", 0.0)
    monkeypatch.setattr(batches, "_SORTED", 600)

    total = sum(
        float(b.weight.sum()) for b in epoch(data, np.random.default_rng(0), batch_tokens=200)
    )

    assert total == data.events


def test_a_sample_has_as_many_tokens_as_asked_for_and_keeps_counts() -> None:
    data = sequences([8] * 100)
    data = Sequences(data.tokens, np.arange(100))

    some = data.sample(100, seed=0)

    assert sum(map(len, some.tokens)) == 100
    for tokens, count in zip(some.tokens, some.counts.tolist(), strict=True):
        np.testing.assert_array_equal(tokens, data.tokens[count])
    assert data.sample(10**6, seed=0) is data


def test_the_same_generator_gives_the_same_epoch() -> None:
    data = sequences([7, 9, 300])

    one, two = (list(epoch(data, np.random.default_rng(4), batch_tokens=200)) for _ in range(2))

    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.inputs, b.inputs)
