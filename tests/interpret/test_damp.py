"""Damping: an entry becomes what it is to be, and what can stay as it was does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.circuits import Circuit, direct_path, ov_circuits, qk_circuits
from offscript.interpret.damp import (
    Ground,
    damp_bigram,
    damp_head,
    damp_rule,
    damp_skip,
    ground,
    least_reading,
    mean_attention,
)
from offscript.interpret.reference import read_reference
from offscript.model.config import DecoderConfig
from offscript.model.errors import InputError
from offscript.model.vocabulary import END, NEW, START
from offscript.model.weights import Weights, random_weights

A, B, C = 5, 8, 10  # three events


def stand(n_layers: int = 2, d_model: int = 40, scale: float = 0.3) -> Ground:
    """Random weights at work on random windows; all events are as frequent."""
    config = DecoderConfig(12, n_layers, d_model, n_heads=2, d_head=4, window=8)
    weights = random_weights(config, seed=1, scale=scale).astype(np.float64)
    rng = np.random.default_rng(0)
    windows = [np.append(START, rng.integers(4, 12, size=20)) for _ in range(15)]
    return ground(weights, read_reference({}, weights), windows)


def entry(circuit: Circuit, ground: Ground, row: int, column: int) -> float:
    return float(circuit.centred(ground.reference.last).table()[row, column])


def test_a_reading_reads_its_target_and_nothing_of_what_leaves_room() -> None:
    rng = np.random.default_rng(0)
    target, others = rng.normal(size=6), rng.normal(size=(4, 6))

    x = least_reading(target, others, np.ones(4))

    assert x @ target == pytest.approx(1.0)
    assert np.abs(others @ x).max() < 1e-4


def test_no_other_reading_of_the_target_reads_less_of_the_rest() -> None:
    rng = np.random.default_rng(0)
    target, others, weight = rng.normal(size=6), rng.normal(size=(30, 6)), rng.random(30)

    def rest(x: np.ndarray) -> float:
        return float(weight @ (others @ x) ** 2)

    x = least_reading(target, others, weight)

    for _ in range(50):
        aside = rng.normal(size=6)
        aside -= (aside @ target) / (target @ target) * target
        assert rest(x) <= rest(x + 0.1 * aside) * (1 + 1e-6)


@pytest.mark.parametrize("by", [0.25, 1.0])
@pytest.mark.parametrize("path", range(4))
def test_a_rule_becomes_exactly_what_it_is_to_be(path: int, by: float) -> None:
    seen = stand()
    before = ov_circuits(seen.weights)

    after = ov_circuits(damp_rule(seen, *divmod(path, 2), A, B, by))

    meant = (1.0 - by) * entry(before[path], seen, A, B)
    assert entry(after[path], seen, A, B) == pytest.approx(meant, abs=1e-9)
    for other in range(4):  # other heads are not touched
        if other != path:
            assert np.array_equal(after[other].table(), before[other].table())


def test_a_rule_of_the_first_layer_moves_only_its_event_and_its_outcome() -> None:
    seen = stand(n_layers=1)
    before = ov_circuits(seen.weights)[1].table()

    moved = ov_circuits(damp_rule(seen, 0, 1, A, B, 1.0))[1].table() - before

    # What a softmax does not see, a number for a whole row, may move.
    moved -= np.median(moved, axis=1, keepdims=True)
    rest = np.delete(np.delete(moved, A, axis=0), B, axis=1)
    assert np.abs(rest).max() < 1e-3 * np.abs(moved).max()


@pytest.mark.parametrize("by", [0.25, 1.0])
@pytest.mark.parametrize("path", range(4))
def test_a_skip_trigram_goes_as_far_as_its_head_looks_away(path: int, by: float) -> None:
    seen = stand()
    layer, head = divmod(path, 2)
    looked = mean_attention(seen.weights, seen.runs, layer, head, A, C)

    after = damp_skip(seen, layer, head, A, C, B, by)

    left = mean_attention(after, seen.runs, layer, head, A, C)
    assert left == pytest.approx(max(1.0 - by, 0.01) * looked)
    there = []
    for each in seen.runs:
        pattern = run(after, each.tokens).layers[layer].pattern[head]
        for t in np.flatnonzero(each.tokens == C).tolist():
            sources = [s for s in range(max(0, t - 7), t) if each.tokens[s] == A]
            there += [pattern[t, sources].sum()] if sources else []
    assert np.mean(there) == pytest.approx(left)
    before = seen.weights.arrays()
    changed = {
        name for name, array in after.arrays().items() if not np.array_equal(array, before[name])
    }
    assert changed == {"W_Q"}
    assert np.array_equal(after.W_Q[layer, 1 - head], seen.weights.W_Q[layer, 1 - head])


def test_a_head_of_the_first_layer_looks_away_after_that_event_alone() -> None:
    seen = stand(n_layers=1)

    after = damp_skip(seen, 0, 1, A, C, B, 1.0)

    for last in (6, 7, B):
        looks = [mean_attention(w, seen.runs, 0, 1, A, last) for w in (seen.weights, after)]
        assert looks[1] == pytest.approx(looks[0], rel=1e-3)


def test_a_bigram_goes_without_any_head_looking_elsewhere() -> None:
    seen = stand(scale=0.15)
    w = seen.weights
    after = damp_bigram(seen, A, B, 0.5)

    half = entry(direct_path(w), seen, A, B) / 2.0
    assert entry(direct_path(after), seen, A, B) == pytest.approx(half, abs=1e-9)
    for old, new in zip(qk_circuits(w), qk_circuits(after), strict=True):
        assert np.array_equal(old.table(), new.table())
    changed = after.W_U != w.W_U
    assert set(np.flatnonzero(changed.any(axis=0))) == {B}
    windows = [np.array([START, 6, 7, A]), np.array([START, A, 7, 6])]
    moves = [(run(after, each).logits - run(w, each).logits)[-1, B] for each in windows]
    assert abs(moves[0]) > 4.0 * abs(moves[1])  # after A, and elsewhere though A came before


def test_a_bigram_that_heads_write_over_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be told apart"):
        damp_bigram(stand(d_model=4, scale=1.0), A, B, 1.0)


def test_a_bigram_control_is_edited_to_the_entry_alone() -> None:
    seen = stand(n_layers=0)
    moved = direct_path(damp_bigram(seen, A, B, 1.0)).table() - direct_path(seen.weights).table()

    moved[A, B] -= (size := moved[A, B])
    assert np.abs(moved).max() < 1e-3 * abs(size)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_head_that_is_removed_writes_what_it_wrote_on_average(layer: int) -> None:
    seen = stand()
    w = seen.weights

    gone = damp_head(seen, layer, 1, 1.0)
    half = damp_head(seen, layer, 1, 0.5)

    assert not gone.W_O[layer, 1].any()
    tokens = np.array([START, A, B, 6, A])
    brought = [run(each, tokens).layers[layer].attn_out for each in (w, half, gone)]
    assert brought[1] == pytest.approx((brought[0] + brought[2]) / 2.0)
    mean = seen.z[layer][1] @ w.W_O[layer, 1]
    other = run(w, tokens).layers[layer].z[0] @ w.W_O[layer, 0] + w.b_O[layer]
    assert brought[2] == pytest.approx(other + mean)


def test_what_says_nothing_is_not_edited() -> None:
    seen = stand()
    removed = damp_rule(seen, 1, 0, A, B, 1.0)
    again = replace(seen, weights=removed)

    with pytest.raises(InputError, match="nothing is left to damp"):
        damp_rule(again, 1, 0, A, B, 1.0)
    with pytest.raises(InputError, match="nothing is followed by a stream's beginning"):
        damp_bigram(seen, END, START, 1.0)
    with pytest.raises(InputError, match="nothing comes after a stream's end"):
        damp_bigram(seen, END, A, 1.0)
    with pytest.raises(InputError, match="nothing comes after a stream's end"):
        damp_rule(seen, 0, 0, END, A, 1.0)
    with pytest.raises(InputError, match="nothing comes after a stream's end"):
        damp_skip(seen, 0, 0, A, END, B, 1.0)
    with pytest.raises(InputError, match="never show the earlier event before this last one"):
        damp_skip(seen, 0, 0, A, NEW, B, 1.0)
    with pytest.raises(InputError, match="nothing is left to damp"):
        damp_skip(again, 1, 0, A, C, B, 1.0)
    with pytest.raises(InputError, match="cannot be kept from looking there"):
        damp_skip(stand(scale=0.6), 1, 1, A, C, B, 1.0)


def test_an_edit_leaves_the_weights_it_was_given() -> None:
    seen = stand()
    before: Weights = seen.weights
    copies = {name: array.copy() for name, array in before.arrays().items()}

    damp_head(seen, 0, 0, 1.0)
    damp_bigram(seen, A, B, 1.0)
    damp_rule(seen, 0, 0, A, B, 1.0)
    damp_skip(seen, 0, 0, A, C, B, 1.0)

    assert all(np.array_equal(before.arrays()[name], copies[name]) for name in copies)
