"""Why a head looked where it did adds up to its attention, and names what the weights say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import Activations, run
from offscript.interpret.explain import explain
from offscript.interpret.explanation import Explanation, Look, Part
from offscript.interpret.looks import parts_read, strongest
from offscript.interpret.looks_text import looks
from offscript.interpret.text import text
from offscript.interpret.transformer import Transformer
from offscript.model.alert import Alert
from offscript.model.vocabulary import START
from offscript.model.weights import Weights
from offscript.tests.interpret.handmade import two_rules

Make = Callable[..., SimpleNamespace]

TOKENS = (START, *np.random.default_rng(7).integers(4, 12, size=30).tolist())
REPEATED = (START, 7, 5, 6, 8, 10, 7, 5)  # after 5 came 6


def assert_parts_add_up(weights: Weights, tokens: np.ndarray) -> None:
    activations = run(weights, tokens, last_only=True)
    for layer, at_work in enumerate(activations.layers):
        reader = 1 if layer == weights.n_layers - 1 else 3
        for head in range(weights.n_heads):
            for source in range(reader, min(reader + weights.window, len(tokens) + 1)):
                q, k = parts_read(weights, activations, layer, head, reader, source)

                attention = at_work.pattern[head, -reader, -source] / at_work.rest[head, -reader]
                distance = weights.rho[layer, head, source - reader]
                score = (q @ k.T).sum() + distance - weights.sink[layer, head]
                assert score == pytest.approx(np.log(attention), abs=1e-9)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("length", [2, 9, 31])
def test_pairs_distance_and_sink_add_up_to_the_attention_beside_that_to_nothing(
    make_random: Make, n_layers: int, length: int
) -> None:
    weights = make_random(n_layers).weights.astype(np.float64)
    assert all(np.abs(b).min() > 0.0 for b in (weights.b_Q, weights.b_K, weights.b_V, weights.b_O))

    assert_parts_add_up(weights, np.array(TOKENS[:length]))


def test_they_do_in_a_trained_model(tiny_model: Path) -> None:
    trained = Transformer.load(tiny_model)

    assert_parts_add_up(trained.weights, max(trained.windows, key=len))


def vector(
    weights: Weights, activations: Activations, part: Part, layer: int, at: int, W: np.ndarray
) -> np.ndarray:
    """A named part of what `layer` reads at the event `at` back, times W: by the definition."""
    if part.lag is None:
        return np.asarray(weights.b_O[0] @ W if layer else np.zeros(W.shape[1]))
    token = activations.tokens[-part.lag]
    if part.head is None:
        return np.asarray(weights.W_E[token] @ W)
    head = int(part.head.removeprefix("L0H"))
    value = weights.W_E[token] @ weights.W_V[0, head] + weights.b_V[0, head]
    attention = activations.layers[0].pattern[head, -at, -part.lag]
    return np.asarray(attention * value @ weights.W_O[0, head] @ W)


def all_looks(explanation: Explanation) -> list[Look]:
    (attribution,) = explanation.attributions
    return [look for item in attribution.evidence for path in item.paths for look in path.looks]


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_each_named_pair_is_what_it_is_called_and_none_is_stronger(
    make_random: Make, make_alert: Callable[..., Alert], n_layers: int, seed: int
) -> None:
    model = make_random(n_layers, seed=seed)
    weights = model.weights.astype(np.float64)
    activations = run(weights, np.array(TOKENS))

    split = [look for look in all_looks(explain(model, make_alert((*TOKENS, 5)))) if look.pairs]

    assert split
    for look in split:
        layer, head = int(look.head[1]), int(look.head[3])
        q, k = parts_read(weights, activations, layer, head, look.reader, look.source)
        every = np.sort(np.abs(q @ k.T), axis=None)[::-1]
        np.testing.assert_allclose([abs(pair.value) for pair in look.pairs], every[:3])
        for pair in look.pairs:
            sides = []
            for part, at, side in ((pair.query, look.reader, "Q"), (pair.key, look.source, "K")):
                W, b = (getattr(weights, f"{name}_{side}")[layer, head] for name in "Wb")
                read = vector(weights, activations, part, layer, at, W)
                sides.append(read if part.lag else read + b)
                assert part.event == (part.lag and model.vocabulary.names[TOKENS[-part.lag]])
            assert pair.value == pytest.approx(sides[0] @ sides[1] / np.sqrt(weights.d_head))


@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("shape", [(1, 2), (3, 40), (60, 50)])
def test_the_strongest_pairs_are_found_however_long_their_parts_are(
    shape: tuple[int, int], spread: float
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        q, k = (np.exp(spread * rng.normal(size=(n, 1))) * rng.normal(size=(n, 4)) for n in shape)
        q[rng.random(shape[0]) < 0.2] = 0.0

        found = strongest(q, k, 3)

        every = np.sort(np.abs(q @ k.T), axis=None)[::-1][:3]
        np.testing.assert_allclose([abs(value) for value, *_ in found], every[every > 0.0])
        np.testing.assert_allclose([q[a] @ k[b] for _, a, b in found], [v for v, *_ in found])
        assert len({(a, b) for _, a, b in found}) == len(found)


def test_an_induction_head_looked_because_of_the_event_before_which_another_had_brought(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    explanation = explain(make_model(induction), make_alert((*REPEATED, 9)))

    look = explanation.attributions[0].evidence[0].paths[0].looks[0]
    assert (look.head, look.reader, look.source) == ("L1H0", 1, 5)
    (pair,) = look.pairs
    assert pair.query == Part("event 1", 1, None)
    assert pair.key == Part("event 1", 6, "L0H0")  # right before what it looked at
    assert pair.value == pytest.approx(60.0)
    assert look.content == pytest.approx(60.0)


def test_a_reader_is_told_so_in_one_sentence(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    shown = text(explain(make_model(induction), make_alert((*REPEATED, 9))))

    said = " ".join(shown[shown.index("Why the heads looked there") :].split("\n\n")[0].split())
    assert said == (
        "Why the heads looked there "
        "L1H0 at the last event looked at 5 back with 100 %: "
        "content +60.0, distance +0.0, rest +30.0 "
        "+60.0 because of `event 1` one before it, which L0H0 had brought there, "
        "and `event 1` here"
    )  # nor that it looked at the last event with next to nothing


@pytest.mark.parametrize("seed", range(4))
def test_what_is_said_of_a_look_adds_up_to_its_content(
    make_random: Make, make_alert: Callable[..., Alert], seed: int
) -> None:
    (attribution,) = explain(make_random(seed=seed), make_alert((*TOKENS, 5))).attributions

    told = looks(attribution)

    assert any(pairs for _, pairs in told)
    for looked, pairs in told:
        content, *parts = (
            float(said.split()[0].strip(",").replace("−", "-"))
            for said in (looked.split("content ")[1], *pairs)
        )
        rounded = 0.05 * (len(parts) + 2)
        assert not parts or sum(parts) == pytest.approx(content, abs=rounded)


def test_what_was_brought_to_the_reader_is_said_to_be_here(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    # L1H0 looks for events like the one before the current one.
    W_Q, W_K = (np.zeros_like(W) for W in (induction.W_Q, induction.W_K))
    W_Q[1, 0, 12:24] = induction.W_Q[1, 0, :12]
    W_K[1, 0, :12] = induction.W_K[1, 0, 12:24]
    model = make_model(dataclasses.replace(induction, W_Q=W_Q, W_K=W_K))

    explanation = explain(model, make_alert((START, 8, 5, 6, 8, 10, 9)))

    pair = explanation.attributions[0].evidence[0].paths[0].looks[0].pairs[0]
    assert pair.query == Part("event 4", 2, "L0H0")
    assert pair.key.head is None
    said = "+60.0 because of `event 4` there, and `event 4` one before, which L0H0 had brought here"
    assert said in " ".join(text(explanation).split())


def test_what_looks_whatever_came_last_is_said_to_do_so(
    make_model: Make, make_alert: Callable[..., Alert]
) -> None:
    # The query of this head is a bias alone.
    explanation = explain(make_model(two_rules()), make_alert((START, 6, 4, 7, 6, 9)))

    shown = text(explanation)

    assert "+14.1 because of `event 0` there, whatever is here" in shown


def test_an_explanation_written_before_there_were_pairs_is_read_and_shown(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    value = explain(make_model(induction), make_alert((*REPEATED, 9))).to_json()
    for item in value["attributions"][0]["evidence"]:
        for path in item["paths"]:
            for look in path["looks"]:
                del look["pairs"]

    old = Explanation.from_json(value)

    assert all(look.pairs == () for look in all_looks(old))
    assert "L1H0 at the last event looked at 5 back with 100 %" in text(old)
    assert "because of `event 1` one before" not in text(old)
