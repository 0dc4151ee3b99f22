"""The scorer's inner loops, compiled by Numba: one event of one stream at a time, no allocation.

Layer 0 needs no state of its own: its queries, keys and values are functions of a token alone, so
they are tables, and what a stream keeps is its ring of token ids. Only layer 1 has a cache, of keys
and values at the last W positions, and that can be rebuilt from the ring.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64
from numba import njit

from .kernel_cache import can_keep

RING = 192  # tokens kept: more than the receptive field of 127, so that a span can be rescored
EVENT, DRIFT, END_DETECTOR, NEW_DETECTOR, COUNTS, LEVEL, STREAM = 0, 1, 2, 3, 4, 5, 6
N_DETECTORS = 7
LEVEL_PRIOR = 20  # events of usual surprise that a stream's level begins with: short ones vary more

# Sums may be reordered; comparisons with nan must keep their meaning (an unknown time is nan).
_jit = njit(
    cache=can_keep(),
    nogil=True,
    fastmath={"reassoc", "contract", "arcp", "nsz"},
    error_model="numpy",
)


@_jit
def _attend(query, keys, values, first, last, at, wrap, rho, sink, scale, scores, out):
    """One head row by row: out = Σ_s softmax(q·k_s·scale + ρ[at − s] | sink)_s v_s.

    `keys` and `values` are [n, heads·d_head] with `wrap` giving the row of each position in
    `first..last`; `out` is [heads·d_head].
    """
    heads = rho.shape[0]
    size = query.shape[0] // heads
    for h in range(heads):
        low = h * size
        top = sink[h]
        for s in range(first, last + 1):
            row = wrap[s - first]
            dot = np.float32(0.0)
            for e in range(low, low + size):
                dot += query[e] * keys[row, e]
            score = dot * scale + rho[h, at - s]
            scores[s - first] = score
            top = max(top, score)
        total = math.exp(sink[h] - top)
        for e in range(low, low + size):
            out[e] = np.float32(0.0)
        for s in range(first, last + 1):
            row = wrap[s - first]
            weight = math.exp(scores[s - first] - top)
            total += weight
            for e in range(low, low + size):
                out[e] += np.float32(weight) * values[row, e]
        for e in range(low, low + size):
            out[e] /= np.float32(total)


@_jit
def _matvec(vector, matrix, bias, out):
    """out = vector @ matrix + bias."""
    for j in range(out.shape[0]):
        out[j] = bias[j]
    for i in range(vector.shape[0]):
        x = vector[i]
        for j in range(out.shape[0]):
            out[j] += x * matrix[i, j]


@_jit
def _layer0(tables, ring, position, work, resid):
    """resid after layer 0 at `position`, from the ring of tokens alone."""
    W_E, Q0, K0, V0, rho, sink, W_O, b_O = tables[:8]
    scale = tables[-1]
    window = rho.shape[2]
    scores, z, wrap, out = work
    first = max(0, position - window + 1)
    token = ring[position % RING]
    for s in range(first, position + 1):
        wrap[s - first] = ring[s % RING]
    _attend(Q0[token], K0, V0, first, position, position, wrap, rho[0], sink[0], scale, scores, z)
    _matvec(z, W_O[0], b_O[0], out)
    for i in range(resid.shape[0]):
        resid[i] = W_E[token, i] + out[i]


@_jit
def _cache_layer1(tables, resid, keys, values, slot):
    """Layer 1's key and value at one position."""
    W_K1, b_K1, W_V1, b_V1 = tables[10:14]
    _matvec(resid, W_K1, b_K1, keys[slot])
    _matvec(resid, W_V1, b_V1, values[slot])


@_jit
def predict(tables, ring, length, keys, values, cached, work, resid, query, logits):
    """Logits of the event after position `length − 1`; returns how many positions are cached.

    `keys`, `values`: layer 1's cache of this stream, [window, heads·d_head], position modulo
    window; `cached`: positions 0..cached−1 have been computed (those in the window are there).
    """
    rho, sink, W_O, b_O, W_U, b_U = (
        tables[4],
        tables[5],
        tables[6],
        tables[7],
        tables[14],
        tables[15],
    )
    layers = rho.shape[0]
    window = rho.shape[2]
    last = length - 1
    token = ring[last % RING]
    if layers == 0:
        for i in range(resid.shape[0]):
            resid[i] = tables[0][token, i]
    elif layers == 1:
        _layer0(tables, ring, last, work, resid)
    else:
        W_Q1, b_Q1 = tables[8], tables[9]
        scores, z, wrap, out = work
        first = max(0, last - window + 1)
        for position in range(max(first, min(cached, last)), last + 1):
            _layer0(tables, ring, position, work, resid)
            _cache_layer1(tables, resid, keys, values, position % window)
        cached = length
        _matvec(resid, W_Q1, b_Q1, query)
        for s in range(first, last + 1):
            wrap[s - first] = s % window
        _attend(
            query, keys, values, first, last, last, wrap, rho[1], sink[1], tables[-1], scores, z
        )
        _matvec(z, W_O[1], b_O[1], out)
        for i in range(resid.shape[0]):
            resid[i] += out[i]
    _matvec(resid, W_U, b_U, logits)
    return cached


@_jit
def surprisal_and_entropy(logits, token):
    """−log p(token) and H(p) in nats, p = softmax(logits)."""
    top = logits[0]
    for v in range(1, logits.shape[0]):
        top = max(top, logits[v])
    total = 0.0
    weighted = 0.0
    for v in range(logits.shape[0]):
        shifted = logits[v] - top
        weight = math.exp(shifted)
        total += weight
        weighted += weight * shifted
    log_total = math.log(total)
    return log_total - (logits[token] - top), log_total - weighted / total


@_jit
def expected_besides(logits, token):
    """The most probable token other than `token`, and its probability."""
    best = 0 if token != 0 else min(1, logits.shape[0] - 1)
    top = logits[0]
    for v in range(logits.shape[0]):
        top = max(top, logits[v])
        if v != token and logits[v] > logits[best]:
            best = v
    total = 0.0
    for v in range(logits.shape[0]):
        total += math.exp(logits[v] - top)
    return best, math.exp(logits[best] - top) / total


def count_directions(
    counts: Float64[np.ndarray, "streams d_vocab"],
) -> Float64[np.ndarray, "streams d_vocab"]:
    """Rows c^⅛ / |c^⅛|: a loop that runs more often turns them little, a missing event a lot.

    The power is measured, not derived: between presence (0) and Hellinger's (½), see docs/log.md.
    """
    powers = np.sqrt(np.sqrt(np.sqrt(counts)))
    return np.asarray(powers / np.linalg.norm(powers, axis=1, keepdims=True))


@_jit
def count_distance(counts, directions):
    """min over rows u of 1 − u·v, v = c^⅛ / |c^⅛|; 0 without counts or rows (see above)."""
    used = np.empty(counts.shape[0], np.int64)
    power = np.empty(counts.shape[0], np.float64)
    n_used = 0
    total = 0.0
    for v in range(counts.shape[0]):
        if counts[v] > 0:
            used[n_used] = v
            power[n_used] = math.sqrt(math.sqrt(math.sqrt(float(counts[v]))))
            total += power[n_used] * power[n_used]
            n_used += 1
    if n_used == 0 or directions.shape[0] == 0:
        return 0.0
    best = -1.0
    for row in range(directions.shape[0]):
        dot = 0.0
        for i in range(n_used):
            dot += directions[row, used[i]] * power[i]
        best = max(best, dot)
    distance = 1.0 - best / math.sqrt(total)
    # Equal directions differ by rounding alone; that must not look like a distance.
    return distance if distance > 1e-6 else 0.0
