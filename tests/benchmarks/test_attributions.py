"""Methods of attribution are what their papers say, on a network whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.benchmarks.attributions import METHODS, SLOW, Explained, Method, Question
from offscript.benchmarks.attributions.replacement import effects, replaced
from offscript.benchmarks.faithfulness_alerts import alert_of
from offscript.benchmarks.faithfulness_timing import _random
from offscript.benchmarks.handmade import WORTH, broken_repetitions, induction
from offscript.interpret.explain import explain
from offscript.model.config import DecoderConfig
from offscript.model.folder import Model
from offscript.model.vocabulary import START


@pytest.fixture(scope="module")
def case() -> tuple[Question, int]:
    """A broken repetition, and where the event lies that should have been repeated."""
    return broken_repetitions(induction(), 1)[0]


@pytest.fixture(scope="module")
def random() -> tuple[Model, Question]:
    """A network of random weights, and a window of it."""
    tokens = np.array([START, *np.random.default_rng(0).integers(4, 40, 8)])
    model = _random(DecoderConfig(d_vocab=40, window=16), [tokens] * 4)
    return model, Question(Explained.of(model), tokens[:-1], int(tokens[-1]))


def test_from_embeddings_the_decoder_predicts_what_it_does_from_tokens(
    case: tuple[Question, int],
) -> None:
    question, _ = case

    (log_odds,) = question.log_odds_of(question.tokens[None])

    assert log_odds == pytest.approx(question.direction.total, abs=1e-4)
    assert log_odds == pytest.approx(WORTH, abs=1e-4)


@pytest.mark.parametrize("name", ["offscript", "direct_logits", "gradient_input"])
def test_what_is_read_from_weights_and_gradients_gives_the_cause_all_that_it_is_worth(
    case: tuple[Question, int], name: str
) -> None:
    question, cause = case

    values = METHODS[name](question)

    assert values.argmax() == cause
    assert values[cause] == pytest.approx(WORTH, rel=0.05)


@pytest.mark.parametrize("method", [METHODS["integrated_gradients"], SLOW["kernel_shap"]])
def test_shares_add_up_to_the_difference_from_the_mean_embedding(
    random: tuple[Model, Question], method: Method
) -> None:
    _, question = random
    embedded = question.model.embedded(question.tokens[None])
    mean = question.model.mean_embedding().expand_as(embedded)

    difference = (question.log_odds(embedded) - question.log_odds(mean)).item()

    assert method(question).sum() == pytest.approx(difference, rel=0.05)


def test_attention_rolled_out_sums_to_one(case: tuple[Question, int]) -> None:
    assert METHODS["rollout"](case[0]).sum() == pytest.approx(1.0)


def test_every_method_has_a_number_for_every_event(case: tuple[Question, int]) -> None:
    for name, method in METHODS.items():
        assert method(case[0]).shape == case[0].tokens.shape, name


def test_our_values_are_those_of_the_explanation(random: tuple[Model, Question]) -> None:
    model, question = random

    (attribution,) = explain(model, alert_of(question), checks=False).attributions

    values = METHODS["offscript"](question)
    for piece in attribution.evidence:
        assert values[piece.source] == pytest.approx(piece.value, abs=1e-9)


def test_replacing_the_cause_costs_what_it_was_worth(case: tuple[Question, int]) -> None:
    question, cause = case

    fall = effects(question, np.random.default_rng(0), draws=4)

    assert fall[cause] > WORTH / 2
    windows = replaced(question, [cause], np.random.default_rng(0), draws=4)
    assert (np.delete(windows, cause, axis=1) == np.delete(question.tokens, cause)).all()
