"""Skip-trigrams are found with the support that training gave them, or did not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.directions import softmax
from offscript.interpret.reference import fit_reference, read_reference
from offscript.interpret.sample import observe
from offscript.interpret.skips import KEPT, expected, fit_skips, skip_trigrams, support
from offscript.model.vocabulary import START
from offscript.tests.interpret.handmade import two_rules

Make = Callable[..., SimpleNamespace]


def test_rules_that_share_a_head_are_found_and_what_training_never_showed_is_told() -> None:
    # 4 … 6 → 8 and 5 … 7 → 9 were taught; 8 and 9 follow 6 and 7 otherwise too.
    taught = [[START, 4, 6, 8], [START, 5, 7, 9], [START, 6, 9], [START, 7, 8]]
    sequences = [np.array(each) for each in taught] * 5
    weights = two_rules()
    mixed = [np.array(each) for each in ([START, 4, 6, 8], [START, 4, 7, 9], [START, 5, 7, 9])]
    reference = fit_reference(weights, sequences)
    sample = observe(weights, mixed)

    found = skip_trigrams(weights, read_reference(reference, weights), sample, 8)

    effects = {
        tuple(triple): effect
        for triple, effect in zip(found.triples.tolist(), found.effect, strict=True)
    }
    assert max(effects, key=lambda triple: effects[triple]) in {(4, 6, 8), (4, 7, 8), (5, 7, 9)}
    assert effects[4, 6, 8] == pytest.approx(effects[4, 7, 8])
    assert effects[4, 6, 8] > 4.0
    counts = dict(
        zip(
            map(tuple, found.triples.tolist()),
            support(sequences, np.ones(len(sequences), np.int64), found.triples, 8).tolist(),
            strict=True,
        )
    )
    assert counts[4, 6, 8] == [5, 5]
    assert counts[4, 7, 8] == [0, 0]


def test_support_is_what_counting_by_hand_gives() -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.integers(4, 7, size=rng.integers(1, 12)) for _ in range(40)]
    triples = np.array([(k, q, v) for k in range(4, 8) for q in range(4, 7) for v in range(4, 7)])

    times = rng.integers(1, 4, size=len(sequences))
    counts = support(sequences, times, triples, window=4)

    for (k, q, v), (seen, chances) in zip(triples.tolist(), counts.tolist(), strict=True):
        after = [
            int(s[t + 1])
            for s, n in zip(sequences, times.tolist(), strict=True)
            for t in list(range(len(s) - 1)) * n
            if s[t] == q and k in s[max(0, t - 3) : t].tolist()
        ]
        assert (seen, chances) == (after.count(v), len(after))


def test_a_model_folder_keeps_the_strongest_with_their_support(make_random: Make) -> None:
    model = make_random()
    rng = np.random.default_rng(0)
    sequences = [np.array([START, *rng.integers(4, 12, size=20)]) for _ in range(10)]
    flat = {
        "windows": np.concatenate(sequences).astype(np.int32),
        "window_lengths": np.full(10, 21, dtype=np.int32),
    }

    kept = fit_skips(model.weights, {**model.reference, **flat}, sequences)

    assert kept["skips"].shape == (len(kept["skip_counts"]), 3)
    assert 0 < len(kept["skips"]) <= 2 * KEPT
    assert (kept["skip_counts"][:, 0] <= kept["skip_counts"][:, 1]).all()


def test_what_the_model_expects_after_k_and_q_is_its_mean_prediction(make_random: Make) -> None:
    weights = make_random().weights.astype(np.float64)
    rng = np.random.default_rng(1)
    windows = [np.array([START, *rng.integers(4, 8, size=9)]) for _ in range(5)]
    sample = observe(weights, windows)

    given = [
        softmax(run(weights, window[: at + 1]).logits)[-1, 6]
        for window in windows
        for at in range(9)
        if window[at] == 5 and 4 in window[:at]
    ]
    assert given
    assert expected(sample, (4, 5, 6)) == pytest.approx(np.mean(given))
    assert expected(sample, (11, 5, 6)) == 0.0
