"""Why a head looked where it did: its score, split over pairs of what it had and what was there.

Beside the sink, which has a score and no content, head g of `layer` scores a source s at t by

    log(pattern[t, s] / pattern[t, sink]) = Σ_a Σ_b q_a·k_b / √d_head + rho[t − s] − sink

where Σ_a q_a = x_t W_Q + b_Q over the parts a of what the layer reads at t, and Σ_b k_b likewise at
s: constants (biases), the event's own embedding, and in layer 1 what each head h of layer 0 brought
there from each event i, A⁰_h[t, i] v⁰_h[i] W_O⁰_h. A part of the query that was brought is
Q-composition, one of the key K-composition.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from ..model.weights import Weights
from .activations import Activations
from .directions import largest
from .explanation import ContentPair, Look, Part
from .window import Window

Array = np.ndarray

TOLD = 2  # pieces of evidence of which is told why the heads looked there
_PAIRS = 3  # named for a look
_AT_ONCE = 8  # parts of each side among which the first pairs are sought


def look(window: Window, layer: int, head: int, reader: int, source: int, *, split: bool) -> Look:
    """From one event to another, both by their lags; `split` names the strongest pairs."""
    weights, at_work = window.weights, window.activations.layers[layer]
    content = at_work.q[head, -reader] @ at_work.k[head, -source] / np.sqrt(weights.d_head)
    return Look(
        head=f"L{layer}H{head}",
        reader=reader,
        source=source,
        attention=float(at_work.pattern[head, -reader, -source]),
        content=float(content),
        distance=float(weights.rho[layer, head, source - reader]),
        sink=float(weights.sink[layer, head]),
        pairs=_pairs(window, layer, head, reader, source) if split else (),
    )


def _pairs(
    window: Window, layer: int, head: int, reader: int, source: int
) -> tuple[ContentPair, ...]:
    """The strongest pairs of parts, by their names."""
    q, k = parts_read(window.weights, window.activations, layer, head, reader, source)
    pairs = []
    for value, a, b in strongest(q, k, _PAIRS):
        query, key = _part(window, a, len(q), reader), _part(window, b, len(k), source)
        pairs.append(ContentPair(query, key, value))
    return tuple(pairs)


def parts_read(
    weights: Weights, activations: Activations, layer: int, head: int, reader: int, source: int
) -> tuple[Float64[Array, "queries d_head"], Float64[Array, "keys d_head"]]:
    """q_a / √d_head at the event `reader` back and k_b at the one `source` back, in parts.

    Each of constants, embedding, heads × events in sight; the last where `layer` is 1.
    """
    q = _projected(weights, activations, layer, reader, weights.W_Q[layer, head])
    k = _projected(weights, activations, layer, source, weights.W_K[layer, head])
    q[0] += weights.b_Q[layer, head]
    k[0] += weights.b_K[layer, head]
    return q / np.sqrt(weights.d_head), k


def _projected(
    weights: Weights,
    activations: Activations,
    layer: int,
    lag: int,
    W: Float64[Array, "d_model d_head"],
) -> Float64[Array, "parts d_head"]:
    """x W of the event `lag` back, in parts; heads are of layer 0, events end with that one."""
    own = activations.resid_pre[0][[-lag]] @ W
    if layer == 0:
        return np.concatenate([np.zeros_like(own), own])
    first, last = activations.layers[0], len(activations.tokens) - lag
    seen = slice(max(0, last + 1 - weights.window), last + 1)
    brought = first.pattern[:, -lag, seen, None] * first.v[:, seen]
    read = (brought @ (weights.W_O[0] @ W)).reshape(-1, W.shape[1])
    return np.concatenate([weights.b_O[[0]] @ W, own, read])


def _part(window: Window, index: int, parts: int, lag: int) -> Part:
    """The name of a part of what was read at the event `lag` back."""
    if index == 0:
        return Part(None, None, None)
    head = None
    if index > 1:
        seen = (parts - 2) // window.weights.n_heads
        number, place = divmod(index - 2, seen)
        head, lag = f"L0H{number}", lag + seen - 1 - place
    return Part(window.name(window.index - lag), lag, head)


def strongest(
    q: Float64[Array, "queries d_head"], k: Float64[Array, "keys d_head"], most: int
) -> list[tuple[float, int, int]]:
    """The largest |q_a·k_b| that are not zero, largest first, each with its a and b.

    As |q_a·k_b| ≤ |q_a||k_b|, few pairs need be multiplied: for any length l, a pair of at least m
    has a query of at least l, or a key longer than m / l.
    """
    length_q, length_k = (np.sqrt(np.einsum("pe,pe->p", side, side)) for side in (q, k))
    longest = q[largest(length_q, _AT_ONCE)] @ k[largest(length_k, _AT_ONCE)].T
    among = np.sort(np.abs(longest), axis=None)
    least = among[-min(most, len(among))] * (1.0 - 1e-9)  # lengths are rounded
    tiny = np.finfo(float).tiny  # a part of no length is in no pair
    length = max(tiny, np.sqrt(least * length_q.max() / max(tiny, length_k.max())))
    a, b = np.flatnonzero(length_q >= length), np.flatnonzero(length_k * length > least)
    rows, columns = q[a] @ k.T, q @ k[b].T
    columns[a] = 0.0  # they are among the rows
    values = np.concatenate([rows.reshape(-1), columns.reshape(-1)])
    found = []
    for place in largest(np.abs(values), most).tolist():
        query, key = divmod(place, len(k))
        if place < rows.size:
            query = a[query]
        else:
            query, key = divmod(place - rows.size, len(b))
            key = b[key]
        if values[place]:
            found.append((float(values[place]), int(query), int(key)))
    return found
