"""Paths add up and depend on nothing that the softmax or a change of basis would not see."""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from offscript.interpret.activations import Activations, run
from offscript.interpret.directions import contrast, own_expectation
from offscript.interpret.paths import Paths, expand, path_names
from offscript.interpret.reference import Reference, read_reference

Make = Callable[..., SimpleNamespace]

TOKENS = np.random.default_rng(3).integers(4, 12, size=17)
TOKENS[0] = 0


def split(
    model: SimpleNamespace,
    directions: np.ndarray | None = None,
    tokens: np.ndarray = TOKENS,
    reference: Reference | None = None,
) -> tuple[Paths, Activations]:
    weights = model.weights.astype(np.float64)
    activations = run(weights, tokens)
    if directions is None:
        directions = np.stack([contrast(activations.logits[-1], 5, 6).w])
    if reference is None:
        reference = read_reference(model.reference, weights)
    return expand(weights, activations, directions, reference), activations


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_paths_add_up_to_the_logits_along_any_direction(
    make_random: Make, n_layers: int, seed: int
) -> None:
    model = make_random(n_layers, seed=seed)
    directions = np.random.default_rng(seed).normal(size=(4, 12))
    directions -= directions.mean(axis=1, keepdims=True)

    paths, activations = split(model, directions)

    np.testing.assert_allclose(paths.total(), directions @ activations.logits[-1], atol=1e-9)


def test_paths_add_up_whatever_the_means_are_because_the_sink_carries_them_too(
    make_random: Make,
) -> None:
    model = make_random()
    reference = read_reference(model.reference, model.weights)
    rng = np.random.default_rng(0)
    wild = dataclasses.replace(
        reference,
        means=rng.normal(size=reference.means.shape),
        mean=rng.normal(size=reference.mean.shape),
    )

    paths, activations = split(model, reference=wild)

    total = activations.logits[-1][6] - activations.logits[-1][5]
    assert paths.total()[0] == pytest.approx(total, abs=1e-9)
    assert np.abs(paths.resting).max() > 0.01


def test_what_a_head_reads_is_told_of_the_event_however_usual_it_is_after_the_last_one(
    make_random: Make,
) -> None:
    model = make_random(1)
    weights = model.weights.astype(np.float64)
    fitted = read_reference(model.reference, weights)
    # As if this stream were all that ever came before its last event.
    z = run(weights, TOKENS).layers[0].z[:, -1]
    means = fitted.means.copy()
    means[TOKENS[-1]] = z
    always = dataclasses.replace(fitted, means=means)

    paths, activations = split(model, reference=always)

    layer = activations.layers[0]
    w = contrast(activations.logits[-1], 5, 6).w
    brought = (layer.v - fitted.mean[:, None]) @ weights.W_O[0] @ weights.W_U @ w
    np.testing.assert_allclose(paths.evidence[0], layer.pattern[:, -1] * brought, atol=1e-9)


def test_a_number_added_to_all_logits_changes_no_contribution(make_random: Make) -> None:
    model = make_random()
    weights = model.weights.astype(np.float64)
    r = np.random.default_rng(0).normal(size=(weights.d_model, 1))
    model.weights = weights
    before, _ = split(model)

    model.weights = dataclasses.replace(weights, W_U=weights.W_U + 5.0 * r, b_U=weights.b_U + 3.0)
    after, _ = split(model)

    for name in ("base", "direct", "evidence", "resting"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-9)


def test_another_basis_inside_the_heads_changes_no_contribution(
    make_model: Make, make_random: Make
) -> None:
    weights = make_random().weights.astype(np.float64)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    turned = dataclasses.replace(
        weights,
        W_V=2.0 * weights.W_V @ rotation,
        b_V=2.0 * weights.b_V @ rotation,
        W_O=0.5 * rotation.T @ weights.W_O,
        W_Q=3.0 * weights.W_Q @ rotation,
        b_Q=3.0 * weights.b_Q @ rotation,
        W_K=weights.W_K @ rotation / 3.0,
        b_K=weights.b_K @ rotation / 3.0,
    )

    before, _ = split(make_model(weights))
    after, _ = split(make_model(turned))

    # Not 1e-9: the means are fitted anew, and kept in float32.
    for name in ("base", "direct", "evidence", "resting"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-5)


def test_an_event_contributes_its_embedding_times_the_gradient_at_fixed_attention(
    make_model: Make, make_random: Make
) -> None:
    torch = pytest.importorskip("torch")
    weights = make_random().weights.astype(np.float64)
    model = make_model(weights, reference=False)
    activations = run(weights, TOKENS)
    direction = own_expectation(activations.logits[-1], 5)
    paths, _ = split(model, direction.w[None])
    ours = paths.evidence[0].sum(axis=0)
    mean_embedding = read_reference({}, weights).last @ weights.W_E
    ours[-1] += paths.direct[0] + mean_embedding @ weights.W_U @ direction.w

    w = {name: torch.tensor(array) for name, array in weights.arrays().items()}
    embedded = w["W_E"][torch.tensor(TOKENS)].requires_grad_()
    x = embedded
    for index, layer in enumerate(activations.layers):
        v = torch.einsum("td,hde->hte", x, w["W_V"][index]) + w["b_V"][index][:, None]
        z = torch.tensor(layer.pattern) @ v
        x = x + torch.einsum("hte,hed->td", z, w["W_O"][index]) + w["b_O"][index]
    logits = x[-1] @ w["W_U"] + w["b_U"]
    (torch.logsumexp(logits, 0) - logits[5]).backward()
    theirs = (embedded * embedded.grad).sum(1).detach().numpy()

    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_paths_are_named_after_their_heads(make_random: Make) -> None:
    names = path_names(make_random(2).weights)

    assert len(names) == 3 + 3 + 9
    assert names[:7] == ("L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2", "L0H0→L1H0")
    assert names[7] == "L0H0→L1H1"
    assert path_names(make_random(0).weights) == ()


def test_without_attention_an_event_contributes_what_replacing_it_changes(
    make_random: Make,
) -> None:
    model = make_random(0)
    other = TOKENS.copy()
    other[-1] = 7

    here, activations = split(model)
    there, replaced = split(model, tokens=other)

    change = [a.logits[-1][6] - a.logits[-1][5] for a in (activations, replaced)]
    assert here.direct[0] - there.direct[0] == pytest.approx(change[0] - change[1], abs=1e-12)


def test_at_constant_attention_an_event_contributes_what_replacing_it_changes(
    make_model: Make, make_random: Make
) -> None:
    weights = make_random(1, window=32).weights.astype(np.float64)
    still = dataclasses.replace(weights, W_Q=0.0 * weights.W_Q, b_Q=0.0 * weights.b_Q)
    model = make_model(still)
    other = TOKENS.copy()
    other[4] = (TOKENS[4] - 3) % 8 + 4

    here, activations = split(model)
    there, replaced = split(model, tokens=other)

    change = [a.logits[-1][6] - a.logits[-1][5] for a in (activations, replaced)]
    claimed = here.evidence[0, :, 4].sum() - there.evidence[0, :, 4].sum()
    assert claimed == pytest.approx(change[0] - change[1], abs=1e-12)
