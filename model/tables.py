"""Circuits as tables: the weights multiplied out as far as one token, or one head, allows.

Position never enters the residual stream, so all of layer 0 but the weights of its sums is known
for each token beforehand, and each projection of the residual stream is a row of a table, for the
token itself, plus a matrix on what layer 0's heads gathered. The residual stream is never formed,
and d_model costs nothing.

    q, k, v of layer 1, logits = base[token] + z0 · out0        z0, z1: what the heads of a layer
    logits of the next event   = the last of these + z1 · out1          gathered, side by side
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from .weights import Weights

PANEL = 16  # columns of a matrix that are multiplied at a time, and lanes that a head fills
_LONGEST = 32_767  # of 16 bits
_LOWEST = -80.0  # log of the least weight of an event in layer 0, beside the largest
# Logit of what is no token, and score of what lies outside of a head's window. Not −∞, as kernels
# multiply by it. Logits have the mean 0 over the vocabulary here and each head's largest of ρ and
# sink is 0, neither of which a softmax sees: so none of a model's own is near, whatever its biases.
_NEVER = -1e4


class Tables(NamedTuple):
    """What the kernels read: sizes, and float32 arrays made flat, with their axes beside them.

    `lanes` is n_heads filled up to a multiple of 4, `size` d_head filled up to a multiple of 16,
    `cells` the window filled up to a multiple of 32, `width` d_vocab to one of 16; `columns` are
    layer 1's queries, keys and values, then the logits.
    """

    n_layers: int
    n_heads: int
    lanes: int
    size: int
    window: int
    cells: int
    d_vocab: int
    width: int
    columns: int
    weight0: Float32[np.ndarray, "_"]  # [d_vocab q, d_vocab k, lanes]: exp(q · k) to a factor
    near0: Float32[np.ndarray, "_"]  # [window, lanes]: exp(ρ) by distance, to a factor
    sink0: Float32[np.ndarray, "_"]  # [d_vocab q, lanes]: exp(sink), with the same factors
    value0: Float32[np.ndarray, "_"]  # [d_vocab, n_heads, size]
    base: Float32[np.ndarray, "_"]  # [d_vocab, columns]
    out0: Float32[np.ndarray, "_"]  # [columns / 16, n_heads · size, 16]
    near1: Float32[np.ndarray, "_"]  # [n_heads, 2 cells]: ρ by cells − 1 − distance, twice over
    sink1: Float32[np.ndarray, "_"]  # [n_heads]
    out1: Float32[np.ndarray, "_"]  # [width / 16, n_heads · size, 16]


def tables(weights: Weights) -> Tables:
    """The tables of a decoder, multiplied out in float64.

    Layer 1's keys and values come out in units of 1/32,767 of the largest that there can be, which
    is known from the tables: so they can be kept in 16 bits without a scale of their own.
    """
    w = weights.astype(np.float64)
    lanes, size = _up(w.n_heads, 4), _up(w.d_head, PANEL)
    cells, width = _up(w.window, 32), _up(w.d_vocab, PANEL)
    heads = w.n_heads * size
    W_U = w.W_U - w.W_U.mean(axis=1, keepdims=True)
    biases = w.b_U - w.b_U.mean() + (w.b_O.sum(0) @ W_U if w.n_layers else 0.0)
    base = np.full((w.d_vocab, width), _NEVER)
    base[:, : w.d_vocab] = w.W_E @ W_U + biases
    weight0, near0, sink0 = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    value0, out0 = np.zeros((w.d_vocab, heads)), np.zeros((heads, width))
    near1, sink1, out1 = (
        np.zeros((w.n_heads, 2 * cells)),
        np.zeros(w.n_heads),
        np.zeros((heads, width)),
    )
    if w.n_layers > 0:
        weight0, near0, sink0 = _attention0(w, lanes)
        value = np.einsum("vm,hme->vhe", w.W_E, w.W_V[0]) + w.b_V[0]
        value0 = _wide(value, size).reshape(w.d_vocab, heads)
        out0[:, : w.d_vocab] = _rows(w.W_O[0], size) @ W_U
    if w.n_layers > 1:
        top = np.maximum(w.rho[1].max(1), w.sink[1])
        near1, sink1 = _distances1(w.rho[1] - top[:, None], cells), w.sink[1] - top
        resid = w.W_E + w.b_O[0]
        projections, gathered = [], []
        for matrix, bias in ((w.W_Q, w.b_Q), (w.W_K, w.b_K), (w.W_V, w.b_V)):
            own = np.einsum("vm,hme->vhe", resid, matrix[1]) + bias[1]
            projections.append(_wide(own, size).reshape(w.d_vocab, heads))
            columns = _wide(matrix[1].transpose(1, 0, 2), size).reshape(-1, heads)
            gathered.append(_rows(w.W_O[0], size) @ columns)
        parts = value0.reshape(w.d_vocab, w.n_heads, size)
        units = [
            _bound(own, parts, by_z) / _LONGEST
            for own, by_z in zip(projections[1:], gathered[1:], strict=True)
        ]
        scales = (units[0] / np.sqrt(w.d_head), 1.0 / units[0], 1.0 / units[1])
        base = np.hstack([*(p * s for p, s in zip(projections, scales, strict=True)), base])
        out0 = np.hstack([*(g * s for g, s in zip(gathered, scales, strict=True)), out0])
        out1[:, : w.d_vocab] = units[1][:, None] * (_rows(w.W_O[1], size) @ W_U)
    arrays = weight0, near0, sink0, value0, base, _panels(out0), near1, sink1, _panels(out1)
    sizes = w.n_layers, w.n_heads, lanes, size, w.window, cells, w.d_vocab, width, base.shape[1]
    return Tables(*sizes, *(np.ascontiguousarray(a, np.float32).reshape(-1) for a in arrays))


def _attention0(
    w: Weights, lanes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """exp of layer 0's scores, distances and sinks, so that the kernel only multiplies and adds.

    The factors common to a query's events and sink cancel in the softmax.
    """
    query = np.einsum("vm,hme->vhe", w.W_E, w.W_Q[0]) + w.b_Q[0]
    key = np.einsum("vm,hme->vhe", w.W_E, w.W_K[0]) + w.b_K[0]
    score = np.einsum("qhe,khe->qkh", query, key) / np.sqrt(w.d_head)
    top = np.maximum(score.max(1), w.sink[0] - w.rho[0].max(1))  # [q, h]
    weight = np.exp(np.maximum(score - top[:, None], _LOWEST))
    near = np.exp(np.maximum(w.rho[0] - w.rho[0].max(1, keepdims=True), _LOWEST)).T
    sink = np.exp(np.maximum(w.sink[0] - w.rho[0].max(1) - top, _LOWEST))
    return tuple(_wide(part, lanes) for part in (weight, near, sink))  # type: ignore[return-value]


def _distances1(
    rho: Float64[np.ndarray, "n_heads window"], cells: int
) -> Float64[np.ndarray, "n_heads cells2"]:
    """ρ of layer 1 for each cell of a ring, from the last one written on: see `Tables.near1`."""
    by_distance = np.full((len(rho), cells), -np.inf)
    by_distance[:, : rho.shape[1]] = rho
    backwards = np.maximum(by_distance[:, ::-1], _NEVER)
    return np.asarray(np.concatenate([backwards, backwards], axis=1))


def _bound(
    own: Float64[np.ndarray, "d_vocab heads"],
    value0: Float64[np.ndarray, "d_vocab n_heads size"],
    by_z: Float64[np.ndarray, "heads heads"],
) -> Float64[np.ndarray, " heads"]:
    """The largest that |own + z0 · by_z| can be, as a head's z0 is a mean of values and of 0."""
    n_heads, size = value0.shape[1:]
    moved = np.einsum("vhe,heo->vho", value0, by_z.reshape(n_heads, size, -1))
    largest = np.abs(own).max(0) + np.abs(moved).max(0).sum(0)
    return np.asarray(np.where(largest > 0.0, largest, 1.0))


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _wide(array: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The last axis filled up with zeros."""
    room = [(0, 0)] * (array.ndim - 1) + [(0, size - array.shape[-1])]
    return np.asarray(np.pad(array, room))


def _rows(
    W_O: Float64[np.ndarray, "n_heads d_head d_model"], size: int
) -> Float64[np.ndarray, "heads d_model"]:
    """W_O with its heads below each other, filled up with zeros."""
    room = ((0, 0), (0, size - W_O.shape[1]), (0, 0))
    return np.asarray(np.pad(W_O, room).reshape(-1, W_O.shape[2]))


def _panels(matrix: Float64[np.ndarray, "rows columns"]) -> NDArray[np.float64]:
    """The columns in panels of 16, each panel in one piece: [columns / 16, rows, 16]."""
    rows = matrix.shape[0]
    return np.asarray(matrix.reshape(rows, -1, PANEL).transpose(1, 0, 2))
