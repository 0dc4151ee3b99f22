"""A span is told event by event, as far back as the heads see, and adds up to its statistic."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import run
from offscript.interpret.counterfactual import Instead
from offscript.interpret.directions import entropy, surprisal
from offscript.interpret.explain import explain
from offscript.interpret.window import Window
from offscript.model.alert import Alert
from offscript.model.folder import load_model
from offscript.model.kernels import RING
from offscript.model.vocabulary import END, START
from offscript.model.weights import Weights
from offscript.training.compare import logged_streams

Make = Callable[..., SimpleNamespace]

TOKENS = (START, *np.random.default_rng(7).integers(4, 12, size=30).tolist())


def test_drift_adds_up_over_its_span_and_explains_the_worst_events(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    logits = run(model.weights.astype(np.float64), np.array(TOKENS)).logits
    tokens = (*TOKENS, 5)
    excess = surprisal(logits, np.array(tokens[1:])) - entropy(logits)
    cusum = float(excess[-12:].sum() - 12 * model.calibration.kappa)

    explanation = explain(model, make_alert(tokens, "drift", span=12, statistic=cusum + 1e-5))

    assert explanation.total == pytest.approx(cusum, abs=1e-9)
    assert explanation.gap == pytest.approx(-1e-5, abs=1e-9)
    assert len(explanation.span) == 12
    assert explanation.earlier == 0.0
    worst = explanation.span[0]
    assert worst.value == pytest.approx(excess[-12:].max() - model.calibration.kappa)
    for part, attribution in zip(explanation.span, explanation.attributions, strict=False):
        assert attribution.index == part.index
        assert attribution.total == pytest.approx(part.value + model.calibration.kappa, abs=1e-9)
        assert attribution.completeness_error <= 1e-9


def test_of_a_span_only_events_that_add_a_tenth_of_what_the_largest_does_are_split(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    # "5 then 6 then 8" came before, and comes again, and then 9 instead of 10.
    alert = make_alert((START, 7, 5, 6, 8, 10, 7, 5, 6, 8, 9), "drift", span=3)

    explanation = explain(make_model(induction), alert)

    shares = [part.value / explanation.span[0].value for part in explanation.span]
    assert len(shares) == 3
    assert max(shares[1:]) < 0.1
    assert [each.index for each in explanation.attributions] == [10]


def test_drift_names_what_is_no_longer_at_hand(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random(window=4)  # a prediction depends on 7 tokens
    alert = make_alert(TOKENS[10:], "drift", span=40, statistic=30.0)

    explanation = explain(model, alert)

    assert len(explanation.span) == 21 - 4
    assert explanation.at_hand == 21 - 7
    assert sorted(part.lag for part in explanation.span if not part.whole) == [14, 15, 16]
    assert explanation.total == 30.0
    parts = sum(part.value for part in explanation.span)
    assert explanation.earlier == pytest.approx(30.0 - parts)
    assert explanation.unlisted == "events and context no longer at hand"
    assert any("23 of the 40 events" in warning for warning in explanation.warnings)
    assert any("context of 3 of the 40 events" in warning for warning in explanation.warnings)


def test_a_span_longer_than_what_is_kept_is_told_as_far_as_the_heads_see(
    tiny_endless_model: Path, tiny_endless_log: Path, make_alert: Callable[..., Alert]
) -> None:
    model = load_model(tiny_endless_model)
    (stream,) = logged_streams(model, [tiny_endless_log])
    tokens = np.array([START, *model.vocabulary.ids(stream.names[:600])])
    logits = run(model.weights.astype(np.float64), tokens[:-1]).logits
    excess = surprisal(logits, tokens[1:]) - entropy(logits) - model.calibration.kappa

    alert = make_alert(tokens[-RING:], "drift", span=300, statistic=float(excess[-300:].sum()))
    explanation = explain(model, alert, checks=False)

    assert explanation.total == alert.statistic
    assert explanation.completeness_error <= 1e-9
    window = model.weights.window
    assert len(explanation.span) == RING - window
    errors = [abs(part.value - excess[len(excess) - 1 - part.lag]) for part in explanation.span]
    exact = [part.whole for part in explanation.span]
    assert max(np.compress(exact, errors)) <= 1e-9
    cut = np.compress(np.invert(exact), errors)
    assert len(cut) == window - 1
    assert np.median(cut) < 0.02
    assert cut.max() < 0.5
    gone = excess[-300 : -(RING - window)].sum()
    assert explanation.earlier == pytest.approx(gone, abs=cut.sum() + 1e-9)


def test_every_event_of_a_span_is_split_as_it_would_be_by_itself(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random(window=4)

    explanation = explain(model, make_alert(TOKENS[3:], "drift", span=40, statistic=30.0))

    assert len(explanation.attributions) == 3
    for attribution in explanation.attributions:
        alone = make_alert(TOKENS[3 : 4 + attribution.index], "drift", span=1)
        (own,) = explain(model, alone).attributions
        assert own.total == pytest.approx(attribution.total, abs=1e-9)
        values = [[each.value for each in one.evidence] for one in (own, attribution)]
        assert values[0] == pytest.approx(values[1], abs=1e-9)
        for alone_is, within in zip(own.evidence, attribution.evidence, strict=True):
            assert alone_is.check is not None
            assert within.check is not None
            assert alone_is.check.effect == pytest.approx(within.check.effect, abs=1e-9)


def test_in_a_bigram_control_the_check_of_a_drift_is_what_was_claimed(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random(0)
    told = [
        explain(model, make_alert((*TOKENS, observed), "drift", span=1)).attributions
        for observed in range(4, 12)
    ]

    claims = [claim for attributions in told for one in attributions for claim in one.evidence]
    assert len(claims) > 2
    for claim in claims:
        assert claim.check is not None
        assert claim.check.effect == pytest.approx(claim.value, rel=0.35, abs=0.2)


def test_a_level_is_the_sum_of_each_events_share_of_the_mean(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    model = make_random()
    tokens = (*TOKENS, END)
    logits = run(model.weights.astype(np.float64), np.array(TOKENS)).logits
    shares = surprisal(logits, np.array(tokens[1:])) - model.calibration.usual
    shares /= len(shares) + 20

    alert = make_alert(tokens, "level", span=len(shares), statistic=shares.sum() + 1e-5)
    explanation = explain(model, alert)

    assert explanation.view == "mean"
    assert explanation.total == pytest.approx(shares.sum(), abs=1e-9)
    assert explanation.gap == pytest.approx(-1e-5, abs=1e-9)
    assert len(explanation.span) == len(shares)
    assert explanation.span[0].value == pytest.approx(shares.max())
    assert explanation.completeness_error <= 1e-9


@pytest.mark.parametrize("start", [5, 7, 8])
def test_an_event_in_its_own_place_changes_no_statistic(
    make_random: Make, make_alert: Callable[..., Alert], monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    """Each event is the least expected one. Of the first of the span the context is not at hand:
    with it they would have been worth nothing.
    """
    model = make_random(window=4)
    weights = model.weights.astype(np.float64)
    every = [START, start]
    for _ in range(40):
        every.append(4 + int(np.argmin(run(weights, np.array(every)).logits[-1, 4:])))
    logits = run(weights, np.array(every[:-1])).logits
    excess = surprisal(logits, np.array(every[1:])) - entropy(logits) - model.calibration.kappa
    alert = make_alert(every[-20:], "drift", span=17, statistic=float(excess[-15:].sum()))

    def itself(window: Window, *_: object) -> Instead:
        name = model.vocabulary.names[alert.tokens[window.index]]
        return Instead(name, 1.0, 0.0, math.inf, (), math.nan, None)

    monkeypatch.setattr("offscript.interpret.explain.instead", itself)
    explanation = explain(model, alert, later=(5, 6))

    assert excess[-17:].min() > 0.0
    assert explanation.instead is not None
    assert explanation.instead.statistic == pytest.approx(alert.statistic, abs=1e-9)
