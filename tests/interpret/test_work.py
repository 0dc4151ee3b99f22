"""What a path is worth is what is lost without it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.directions import softmax, surprisal
from offscript.interpret.reference import fit_reference, read_reference
from offscript.interpret.roles import repeated_windows
from offscript.interpret.sample import observe
from offscript.interpret.work import bigrams, missed, notable_moments, share_of_work
from offscript.model.vocabulary import START
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

REPEATS = repeated_windows(np.arange(4, 12), 16, draws=40)  # what follows an event differs


def test_the_induction_head_does_the_work_on_repeats(induction: Weights) -> None:
    reference = read_reference(fit_reference(induction, REPEATS), induction)
    sample = observe(induction, REPEATS)

    work = {each.name: each for each in share_of_work(induction, reference, sample)}
    moments = notable_moments(induction, reference, sample, most=3, quantiles=(1.0, 0.5, 0.0))

    assert next(iter(work)) == "L1H0"
    assert work["L1H0"].loss > 0.5
    assert work["L0H0"].loss == work["L1H1"].loss == work["direct"].loss == 0.0
    best = moments["L1H0"].top[0]
    window = sample.windows[best.window]
    assert window[best.row] in window[: best.row]
    assert len({(m.window, m.row) for m in moments["L1H0"].top}) == 3
    assert moments["L1H1"].top == []
    assert [share for share, _ in moments["L1H0"].at] == pytest.approx([1.0, 0.5, 0.0], abs=0.01)
    gains = [moment.gain for _, moment in moments["L1H0"].at]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] == best.gain
    assert gains[2] < 0.0  # what it read spoke against what followed


def test_the_loss_without_a_path_is_that_of_its_logits_taken_out(make_random: Make) -> None:
    model = make_random()
    weights = model.weights.astype(np.float64)
    windows = [np.array([START, *np.random.default_rng(n).integers(4, 12, 9)]) for n in range(4)]
    reference = read_reference(model.reference, weights)
    sample = observe(weights, windows)

    work = {each.name: each for each in share_of_work(weights, reference, sample)}

    lost, whole = [], []
    for window in windows:
        activations = run(weights, window[:-1])
        usual = reference.means[window[:-1], 1].astype(np.float64)  # L0H1
        brought = (activations.layers[0].z[1] - usual) @ weights.W_O[0, 1] @ weights.W_U
        lost.append(surprisal(activations.logits - brought, window[1:]))
        whole.append(surprisal(activations.logits, window[1:]))
    expected = np.concatenate(lost).mean() - np.concatenate(whole).mean()
    assert work["L0H1"].loss == pytest.approx(expected)


def test_a_decoder_of_no_layers_is_its_direct_path(make_random: Make) -> None:
    model = make_random(0)
    weights = model.weights.astype(np.float64)
    reference = read_reference(model.reference, weights)

    direct, usual, counted = bigrams(weights, reference)

    expected = softmax(run(weights, np.array([5])).logits)[0]
    np.testing.assert_allclose(direct[5], expected)
    np.testing.assert_allclose(usual, direct)
    assert counted[5].sum() == pytest.approx(1.0)
    assert counted[5, 6] == reference.support(5, 6) / reference.last_count(5)
    assert [w.name for w in share_of_work(weights, reference, observe(weights, REPEATS))] == [
        "direct"
    ]


def test_a_table_misses_nothing_of_itself() -> None:
    table = np.array([[0.5, 0.5], [0.0, 1.0]])

    assert missed(table, table, np.array([0.5, 0.5])) == 0.0
    assert missed(table, np.full((2, 2), 0.5), np.array([0.25, 0.75])) == pytest.approx(
        0.75 * np.log(2.0)
    )
