"""The scorer computes what the decoder computes, one event at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from offscript.model.config import DecoderConfig
from offscript.model.decoder import decoder_from
from offscript.model.errors import ModelError
from offscript.model.forward_kernels import BLOCK
from offscript.model.kernels import RING
from offscript.model.scorer import Scorer
from offscript.model.streams import STATE
from offscript.model.tables import tables
from offscript.model.vocabulary import END, PAST, START
from offscript.model.weights import random_weights

ScoreSequence = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize(
    ("d_vocab", "window", "length"), [(30, 64, 400), (5, 8, 100), (300, 32, 90)]
)
def test_the_scorer_equals_the_decoder_at_every_position(
    score_sequence: ScoreSequence, n_layers: int, d_vocab: int, window: int, length: int
) -> None:
    config = DecoderConfig(d_vocab=d_vocab, n_layers=n_layers, window=window)
    weights = random_weights(config, seed=n_layers, scale=0.2)
    tokens = np.random.default_rng(1).integers(3, d_vocab, length)
    tokens[0], tokens[-1] = START, END

    surprisal, entropy = score_sequence(weights, tokens)

    with torch.no_grad():
        decoder = decoder_from(weights, config).double()
        log_p = decoder(torch.from_numpy(tokens)[None]).log_softmax(-1)[0].numpy()
    near = 5e-4 if n_layers == 2 else 1e-4  # layer 1 is kept in 16 bits
    np.testing.assert_allclose(surprisal, -log_p[np.arange(length - 1), tokens[1:]], atol=near)
    np.testing.assert_allclose(entropy, -(np.exp(log_p) * log_p).sum(1)[:-1], atol=near)


def test_what_no_softmax_sees_changes_no_number(score_sequence: ScoreSequence) -> None:
    config = DecoderConfig(d_vocab=21, window=20)
    weights = random_weights(config, seed=4).astype(np.float64)
    low = {name: getattr(weights, name) - 2e4 for name in ("b_U", "rho", "sink")}
    tokens = np.random.default_rng(1).integers(3, 21, 60)

    for one, other in zip(
        score_sequence(weights, tokens),
        score_sequence(replace(weights, **low), tokens),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_window_too_wide_for_the_ring_is_refused(score_sequence: ScoreSequence) -> None:
    weights = random_weights(DecoderConfig(d_vocab=6, window=100), seed=0)

    with pytest.raises(ModelError, match="see further back"):
        score_sequence(weights, np.array([START, END]))


def streams(n: int, d_vocab: int, events: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """State, rings and tokens so far of `n` streams of a few lengths around the window's."""
    rng = np.random.default_rng(2)
    state = np.zeros(n, STATE)
    state["length"] = 1 + (np.arange(n) * 7) % events
    ring = rng.integers(3, d_vocab, (n, RING)).astype(np.uint16)
    ring[:, 0] = START
    return state, ring, rng.integers(3, d_vocab, 4 * n).astype(np.int32)


def predicted(
    scorer: Scorer, rows: np.ndarray, tokens: np.ndarray, state: np.ndarray, ring: np.ndarray
) -> np.ndarray:
    """Logits before each event, a row an event."""
    logits, where, _, width, d_vocab = scorer.predict(rows, tokens, state, ring)
    return logits.reshape(-1, width)[where[: len(rows)], :d_vocab]


def feed(state: np.ndarray, ring: np.ndarray, rows: np.ndarray, tokens: np.ndarray) -> None:
    for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
        ring[row, state["length"][row] % RING] = token
        state["length"][row] += 1


@pytest.mark.parametrize("n_heads", [1, 2, 4, 8])
def test_a_streams_numbers_do_not_depend_on_what_else_is_in_a_block(n_heads: int) -> None:
    config = DecoderConfig(d_vocab=20, n_heads=n_heads, window=40)
    weights = random_weights(config, seed=3)
    together, alone = Scorer(tables(weights), rows=8), Scorer(tables(weights), rows=8)
    state, ring, tokens = streams(8, 20, 100)
    own_state, own_ring = state.copy(), ring.copy()
    for scorer in (together, alone):
        scorer.follow(8)
    rows = np.tile(np.arange(8), 4)

    for _ in range(3):
        logits = predicted(together, rows, tokens, state, ring)
        for i in range(len(rows)):
            one = slice(i, i + 1)
            own = predicted(alone, rows[one], tokens[one], own_state, own_ring)
            np.testing.assert_array_equal(logits[i], own[0])
            feed(own_state, own_ring, rows[one], tokens[one])
        feed(state, ring, rows, tokens)


@pytest.mark.parametrize(("n_layers", "window"), [(0, 64), (1, 64), (2, 64), (2, 40)])
def test_a_scorer_that_goes_on_in_the_memory_of_another_scores_as_in_its_own(
    n_layers: int, window: int
) -> None:
    config = DecoderConfig(d_vocab=20, n_layers=n_layers, window=window)
    before, after = (random_weights(config, seed=seed) for seed in (3, 4))
    old, fresh = Scorer(tables(before), rows=8), Scorer(tables(after), rows=8)
    new, smaller = Scorer(tables(after), rows=8), Scorer(tables(after), rows=4, known_bytes=0)
    state, ring, tokens = streams(8, 20, 100)
    rows = np.tile(np.arange(8), 4)
    for scorer in (old, fresh, new):
        scorer.follow(8)
    # Whatever the old one left there is no number of the new one's.
    old.logits[:] = np.nan
    memory = old._live[0]
    memory[:] = np.random.default_rng(5).integers(-(2**15), 2**15, memory.shape)
    new.take_over(old)
    smaller.take_over(old)

    assert (new.logits is old.logits, new._live[0] is old._live[0]) == (True, True)
    assert smaller.logits is not old.logits
    assert (smaller._live[0] is old._live[0]) == (n_layers < 2)  # which have no layer 1 to keep
    for _ in range(3):
        expected = predicted(fresh, rows, tokens, state, ring)
        np.testing.assert_array_equal(predicted(new, rows, tokens, state, ring), expected)
        feed(state, ring, rows, tokens)


def test_streams_that_take_turns_in_memory_score_as_if_all_had_stayed() -> None:
    weights = random_weights(DecoderConfig(d_vocab=20, window=16), seed=3)
    many = BLOCK + 100
    roomy, tight = (
        Scorer(tables(weights), rows=many),
        Scorer(tables(weights), rows=many, live_bytes=1),
    )
    state, ring, _ = streams(many, 20, 100)
    rng = np.random.default_rng(4)
    for scorer in (roomy, tight):
        scorer.follow(many)

    for _ in range(6):
        tight.rest(rng.integers(0, many, 50))
        rows = rng.integers(0, many, BLOCK)
        tokens = rng.integers(3, 20, BLOCK).astype(np.int32)
        expected = predicted(roomy, rows, tokens, state, ring)
        np.testing.assert_array_equal(predicted(tight, rows, tokens, state, ring), expected)
        feed(state, ring, rows, tokens)


def test_a_row_that_another_stream_takes_over_begins_anew() -> None:
    weights = random_weights(DecoderConfig(d_vocab=20, window=16), seed=3)
    scorer = Scorer(tables(weights), rows=2)
    scorer.follow(2)
    state, ring, _ = streams(2, 20, 30)
    one, token = np.zeros(1, np.int64), np.full(1, 5, np.int32)
    predicted(scorer, one, token, state, ring)

    state["length"][0] = 1
    scorer.rest(one)
    ring[0, 0] = PAST
    logits = predicted(scorer, one, token, state, ring)

    fresh = Scorer(tables(weights), rows=2)
    fresh.follow(2)
    np.testing.assert_array_equal(logits, predicted(fresh, one, token, state, ring))


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("known_bytes", [20_000, 1 << 22])  # some sets, all in use; all there is
def test_what_is_known_of_a_context_is_what_would_be_computed(
    n_layers: int, known_bytes: int
) -> None:
    config = DecoderConfig(d_vocab=9, n_layers=n_layers, window=8)
    weights = random_weights(config, seed=5)
    known = Scorer(tables(weights), rows=60, known_bytes=known_bytes)
    computed = Scorer(tables(weights), rows=60, known_bytes=0)
    for scorer in (known, computed):
        scorer.follow(60)
    state, ring = np.zeros(60, STATE), np.zeros((60, RING), np.uint16)
    ring[:, 0], state["length"] = START, 1
    rng = np.random.default_rng(6)
    # Few habits, with an exception now and then: streams fall behind, and catch up.
    habits = rng.integers(3, 9, (3, 100))
    for at in range(40):
        rows = rng.integers(0, 60, 200)
        tokens = habits[rows % 3, rng.integers(0, 2) + at]
        tokens = np.where(rng.random(200) < 0.02, 5, tokens).astype(np.int32)
        expected = predicted(computed, rows, tokens, state, ring)
        np.testing.assert_array_equal(predicted(known, rows, tokens, state, ring), expected)
        feed(state, ring, rows, tokens)
        ending = rng.integers(0, 60, 5)
        for scorer in (known, computed):
            scorer.rest(ending)
        state["length"][ending], ring[ending, 0] = 1, START


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_a_stream_that_is_known_for_long_leaves_the_others_of_its_block_alone(
    n_layers: int,
) -> None:
    config = DecoderConfig(d_vocab=9, n_layers=n_layers, window=4)
    weights = random_weights(config, seed=5)
    known, computed = (
        Scorer(tables(weights), rows=3),
        Scorer(tables(weights), rows=3, known_bytes=0),
    )
    for scorer in (known, computed):
        scorer.follow(3)
    state, ring = np.zeros(3, STATE), np.zeros((3, RING), np.uint16)
    ring[:, 0], state["length"] = START, 1
    rng = np.random.default_rng(6)
    habit = rng.integers(3, 9, 300).astype(np.int32)
    first = np.zeros(300, np.int64)
    predicted(known, first, habit, state, ring)
    feed(state, ring, first, habit)

    # One that is new, and one that follows the habit for longer than the decoder reaches back.
    rows = np.repeat([1, 2], [50, 310])
    tokens = np.concatenate([rng.integers(3, 9, 50), habit, rng.integers(3, 9, 10)])
    tokens = tokens.astype(np.int32)
    expected = predicted(computed, rows, tokens, state, ring)

    np.testing.assert_array_equal(predicted(known, rows, tokens, state, ring), expected)


def test_events_that_are_predicted_but_never_fed_leave_no_trace() -> None:
    weights = random_weights(DecoderConfig(d_vocab=20, window=16), seed=3)
    scorer, fresh = Scorer(tables(weights), rows=2), Scorer(tables(weights), rows=2)
    for each in (scorer, fresh):
        each.follow(2)
    state, ring, _ = streams(2, 20, 30)
    state["length"], ring[1] = 20, ring[0]
    first, second = np.zeros(3, np.int64), np.ones(2, np.int64)
    predicted(scorer, first, np.array([5, 6, 7], np.int32), state, ring)

    # These come true in place of them, and are known of the other stream.
    tokens = np.array([8, 9], np.int32)
    for rows in (second, first[:2]):
        predicted(scorer, rows, tokens, state, ring)
        feed(state, ring, rows, tokens)
    logits = predicted(scorer, first[:1], tokens[:1], state, ring)

    np.testing.assert_array_equal(logits, predicted(fresh, first[:1], tokens[:1], state, ring))


def test_a_context_that_came_before_is_not_computed_again() -> None:
    weights = random_weights(DecoderConfig(d_vocab=20, window=16), seed=3)
    scorer = Scorer(tables(weights), rows=2)
    scorer.follow(2)
    state, ring, _ = streams(2, 20, 30)
    state["length"], ring[1] = 20, ring[0]
    tokens = np.full(1, 7, np.int32)
    first = predicted(scorer, np.zeros(1, np.int64), tokens, state, ring)

    scorer.logits[:] += 1.0  # what is known shows that it was used
    second = predicted(scorer, np.ones(1, np.int64), tokens, state, ring)

    np.testing.assert_array_equal(second, first + np.float32(1.0))
