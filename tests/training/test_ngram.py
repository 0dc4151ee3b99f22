"""The n-gram baseline is the one that Witten and Bell describe."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.model.vocabulary import END, START
from offscript.training.batches import Sequences
from offscript.training.ngram import NGram, choose_ngram, fit_ngram

A, B = 4, 5
SEQUENCES = [np.array([START, A, B, END]), np.array([START, A, A, END])]


def test_probabilities_are_those_that_one_computes_by_hand() -> None:
    ngram = fit_ngram(SEQUENCES, np.array([3, 1]), order=2, d_vocab=6)

    surprisal = ngram.surprisal(np.array([START, A, B, END]))

    unigram_a = (5 + 3 * (1 / 6)) / (12 + 3)  # A comes 5 times of 12; three kinds of events
    unigram_b = (3 + 3 * (1 / 6)) / (12 + 3)
    after_start = (4 + 1 * unigram_a) / (4 + 1)
    after_a = (3 + 3 * unigram_b) / (5 + 3)
    np.testing.assert_allclose(np.exp(-surprisal[:2]), [after_start, after_a])


def test_probabilities_of_all_events_sum_to_one() -> None:
    ngram = fit_ngram(SEQUENCES, np.array([3, 1]), order=3, d_vocab=6)

    p = [np.exp(-ngram.surprisal(np.array([START, A, v]))[1]) for v in range(6)]

    assert sum(p) == pytest.approx(1.0)


def test_a_baseline_survives_its_arrays() -> None:
    ngram = fit_ngram(SEQUENCES, np.array([1, 1]), order=3, d_vocab=6)

    again = NGram.from_arrays(ngram.arrays())

    np.testing.assert_array_equal(ngram.surprisal(SEQUENCES[0]), again.surprisal(SEQUENCES[0]))


def test_the_order_is_chosen_on_held_out_streams() -> None:
    rng = np.random.default_rng(0)
    pattern = np.array([START, *[A, A, B, B] * 5, END], np.int32)
    noise = [np.array([START, *rng.integers(4, 6, 20), END], np.int32) for _ in range(200)]
    repeated = Sequences.of([pattern] * 50)
    random = Sequences.of(noise)

    longer, _ = choose_ngram(repeated, repeated, d_vocab=6)
    shorter, _ = choose_ngram(random, Sequences.of(noise[:50]), d_vocab=6)

    assert longer.order >= 3
    assert shorter.order <= longer.order
