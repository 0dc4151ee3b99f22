"""A head, or one entry of it, that brings only what is usual: what the card of a network claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from ..interpret.activations import Activations, embedding_values, run
from ..interpret.patching import patch
from ..model.weights import Weights

Array = np.ndarray


def usual_outputs(
    weights: Weights, windows: Sequence[Int[Array, " _"]]
) -> Float64[Array, "layers d_vocab heads d_head"]:
    """What each head reads on average after each event, before W_O; nothing after unseen ones."""
    sums = np.zeros((weights.n_layers, weights.d_vocab, weights.n_heads, weights.d_head))
    times = np.zeros(weights.d_vocab)
    for tokens in windows:
        np.add.at(times, tokens, 1.0)
        for layer, at_work in enumerate(run(weights, tokens).layers):
            np.add.at(sums[layer], tokens, at_work.z.swapaxes(0, 1))
    return np.asarray(sums / np.maximum(times, 1.0)[:, None, None])


def without_head(
    weights: Weights,
    name: str,
    usual: Float64[Array, "layers d_vocab heads d_head"],
    activations: Activations,
) -> Float64[Array, "positions d_vocab"]:
    """The logits where the head brings what is usual after each event, and all later heads see it.

    `activations` are of a full run.
    """
    layer, head = _place(name)
    return _with(weights, name, usual[layer, activations.tokens, head], activations)


def without_entry(
    weights: Weights,
    name: str,
    means: Float[Array, "d_vocab paths d_head"],
    activations: Activations,
    sources: Bool[Array, " positions"],
) -> Float64[Array, "positions d_vocab"]:
    """The logits where what the head reads of these events is what it usually reads there.

    z[t] − Σ_s Σ_k A_k[t, s] (v_k[s] − μ_k[e_t]), s over the sources, k over the paths that end in
    the head: itself, and in layer 1 what each head of layer 0 brought it of an event. `means` are
    μ_k[e]. Other events, wherever the head looks, stay as they are; all later heads see it.
    """
    layer, head = _place(name)
    first, heads = activations.layers[0], weights.n_heads
    after = means[activations.tokens].astype(np.float64)

    def read(pattern: Array, value: Array, path: int) -> Array:
        kept = pattern * sources
        return np.asarray(kept @ value - kept.sum(axis=1)[:, None] * after[:, path])

    if layer == 0:
        z = first.z[head] - read(first.pattern[head], first.v[head], head)
        return _with(weights, name, z, activations)
    second = activations.layers[1]
    pattern, embedded = second.pattern[head], embedding_values(weights, activations)[head]
    z = second.z[head] - read(pattern, embedded, heads + head)
    for other in range(heads):
        path = 2 * heads + other * heads + head
        brought = read(pattern @ first.pattern[other], first.v[other], path)
        z -= brought @ weights.W_O[0, other] @ weights.W_V[1, head]
    return _with(weights, name, z, activations)


def sources_of(
    rule: Mapping[str, Any], layer: int, tokens: Int[Array, " positions"], ids: Mapping[str, int]
) -> Bool[Array, " positions"]:
    """The events that a rule of a card's JSON is about, as a head of this layer reads them.

    Of a skip-trigram the earlier event, of a bigram the last one. Of an induction rule a head of
    layer 1 reads what came after an earlier such event, and one of layer 0 that event itself.
    """
    if rule["kind"] != "induction":
        return np.asarray(tokens == ids[rule["earlier"] or rule["last"]])
    marked = np.asarray(tokens == ids[rule["last"]])
    return marked if layer == 0 else np.append(False, marked[:-1])


def layer_of(name: str) -> int:
    """Of a head called as in "L1H2"."""
    return _place(name)[0]


def _place(name: str) -> tuple[int, int]:
    layer, head = name[1:].split("H")
    return int(layer), int(head)


def _with(
    weights: Weights,
    name: str,
    z: Float64[Array, "positions d_head"],
    activations: Activations,
) -> Float64[Array, "positions d_vocab"]:
    layer, head = _place(name)
    return patch(weights, activations, {name: z @ weights.W_O[layer, head]}).logits
