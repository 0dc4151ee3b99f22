"""The decoder's fast incremental twin: the same numbers as decoder.py, in NumPy and Numba."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy.typing import NDArray

from .kernels import RING, predict, surprisal_and_entropy
from .weights import Weights

Columns = tuple[NDArray[np.generic], ...]


def tables(weights: Weights) -> tuple[object, ...]:
    """The weights laid out for the kernels, float32: what depends on a token alone is a table.

    (W_E, Q0, K0, V0, rho, sink, W_O, b_O, W_Q1, b_Q1, W_K1, b_K1, W_V1, b_V1, W_U, b_U, scale),
    with heads side by side in the last axis: Q0, K0, V0 are [d_vocab, n_heads·d_head], projections
    [d_model, n_heads·d_head], W_O [n_layers, n_heads·d_head, d_model].
    """
    if weights.n_layers * (weights.window - 1) + 1 > RING:
        raise ValueError(
            f"{weights.n_layers} layers with a window of {weights.window} see further back than "
            f"the {RING} events that a stream keeps; choose a smaller window"
        )
    w = weights.astype(np.float64)
    heads = w.n_heads * w.d_head

    def beside(layer: int, projection: NDArray[np.float64], bias: NDArray[np.float64]) -> Columns:
        if layer >= w.n_layers:
            return np.zeros((w.d_model, heads)), np.zeros(heads)
        return projection[layer].transpose(1, 0, 2).reshape(w.d_model, heads), bias[layer].ravel()

    projections = ((w.W_Q, w.b_Q), (w.W_K, w.b_K), (w.W_V, w.b_V))
    layer0 = [w.W_E @ matrix + bias for matrix, bias in (beside(0, *pair) for pair in projections)]
    layer1 = [part for pair in projections for part in beside(1, *pair)]
    arrays = [
        w.W_E,
        *layer0,
        w.rho,
        w.sink,
        w.W_O.reshape(w.n_layers, heads, w.d_model),
        w.b_O,
        *layer1,
        w.W_U,
        w.b_U,
    ]
    scale = np.float32(1.0 / math.sqrt(w.d_head))
    return (*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays), scale)


def workspace(weights: Weights) -> Columns:
    """Scratch arrays for the kernels; one set a thread."""
    heads = weights.n_heads * weights.d_head
    return (
        np.zeros(weights.window, np.float32),  # scores
        np.zeros(heads, np.float32),  # z
        np.zeros(weights.window, np.int64),  # row of each position of the window
        np.zeros(weights.d_model, np.float32),  # what a layer adds
        np.zeros(weights.d_model, np.float32),  # residual stream
        np.zeros(heads, np.float32),  # layer 1's query
        np.zeros(weights.d_vocab, np.float32),  # logits
    )


def layer1_cache(
    weights: Weights, slots: int
) -> tuple[Float32[np.ndarray, "slots window heads"], Float32[np.ndarray, "slots window heads"]]:
    """Layer 1's keys and values for `slots` live streams: [slots, window, n_heads·d_head] each."""
    size = weights.n_heads * weights.d_head if weights.n_layers == 2 else 1
    rows = weights.window if weights.n_layers == 2 else 1
    keys = np.zeros((slots, rows, size), np.float32)
    values = np.zeros((slots, rows, size), np.float32)
    return keys, values


def score_sequence(
    weights: Weights, tokens: Int[np.ndarray, " tokens"]
) -> tuple[Float64[np.ndarray, " events"], Float64[np.ndarray, " events"]]:
    """Surprisal and entropy in nats of tokens[1:], each given all before it in its window.

    tokens[0] is `<start>` or `<past>`; a last `<end>` is scored like an event. The incremental
    scorer itself runs here, one event at a time.
    """
    prepared, work = tables(weights), workspace(weights)
    keys, values = layer1_cache(weights, 1)
    ring = np.zeros(RING, np.int32)
    ring[0] = tokens[0]
    cached = 0
    surprisal = np.empty(len(tokens) - 1)
    entropy = np.empty(len(tokens) - 1)
    for position in range(1, len(tokens)):
        cached = predict(
            prepared,
            ring,
            position,
            keys[0],
            values[0],
            cached,
            work[:4],
            work[4],
            work[5],
            work[6],
        )
        token = int(tokens[position])
        surprisal[position - 1], entropy[position - 1] = surprisal_and_entropy(work[6], token)
        ring[position % RING] = token
    return surprisal, entropy
