"""What the kernels share, and those that turn logits and counts into numbers, compiled by Numba."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from .kernel_cache import can_keep, forget_outdated
from .simd import (
    add,
    exp,
    larger,
    largest,
    load8,
    multiply_add,
    repeat,
    spread,
    subtract,
    total,
)

RING = 192  # tokens kept: more than the receptive field of 127, so that a span can be rescored
TIMES = 64  # of the last of them, whose times are kept
EVENT, DRIFT, END_DETECTOR, NEW_DETECTOR, COUNTS, LEVEL, STREAM = 0, 1, 2, 3, 4, 5, 6
N_DETECTORS = 7
LEVEL_PRIOR = 20  # events of usual surprise that a stream's level begins with: short ones vary more

forget_outdated(Path(__file__).parent)

# Sums may be reordered; comparisons with nan must keep their meaning (an unknown time is nan).
_jit = njit(
    cache=can_keep(),
    nogil=True,
    fastmath={"reassoc", "contract", "arcp", "nsz"},
    error_model="numpy",
)


@_jit
def log_sum_and_entropy(logits, at, width):
    """log Σ exp(l) over l = logits[at:at + width], and the entropy of softmax(l) in nats.

    The first less an event's logit is its surprisal. `width`: a multiple of 8.
    """
    tops = load8(logits, at)
    for v in range(8, width, 8):
        tops = larger(tops, load8(logits, at + v))
    top = largest(tops)
    tops = spread(top)
    sums = spread(np.float32(0.0))
    shifts = sums
    for v in range(0, width, 8):
        shifted = subtract(load8(logits, at + v), tops)
        weight = exp(shifted)
        sums = add(sums, weight)
        shifts = multiply_add(weight, shifted, shifts)
    whole = np.float64(total(sums))
    log_whole = math.log(whole)
    return log_whole + top, log_whole - total(shifts) / whole


@_jit
def expected_besides(logits, at, d_vocab, token):
    """The most probable token other than `token`, and its probability."""
    best = 0 if token != 0 else min(1, d_vocab - 1)
    top = logits[at]
    for v in range(d_vocab):
        top = max(top, logits[at + v])
        if v != token and logits[at + v] > logits[at + best]:
            best = v
    whole = 0.0
    for v in range(d_vocab):
        whole += math.exp(logits[at + v] - top)
    return best, math.exp(logits[at + best] - top) / whole


def count_directions(
    counts: Float64[np.ndarray, "streams d_vocab"],
) -> Float64[np.ndarray, "streams d_vocab"]:
    """Rows c^⅛ / |c^⅛|: a loop that runs more often turns them little, a missing event a lot.

    The power is measured, not derived: between presence (0) and Hellinger's (½), see docs/log.md.
    """
    powers = np.sqrt(np.sqrt(np.sqrt(counts)))
    return np.asarray(powers / np.linalg.norm(powers, axis=1, keepdims=True))


def count_columns(
    directions: Float64[np.ndarray, "rows d_vocab"],
) -> Float32[np.ndarray, "d_vocab rows32"]:
    """The directions as `count_distance` reads them: side by side, filled up with zeros."""
    room = -len(directions) % 32
    return np.ascontiguousarray(np.pad(directions, ((0, room), (0, 0))).T, dtype=np.float32)


@_jit
def count_distance(counts, columns):
    """min over directions u of 1 − u·v, v = c^⅛ / |c^⅛|; 0 without counts or directions."""
    used = np.empty(counts.shape[0], np.int64)
    power = np.empty(counts.shape[0], np.float32)
    n_used = 0
    square = 0.0
    for v in range(counts.shape[0]):
        if counts[v] > 0:
            used[n_used] = v * columns.shape[1]
            root = math.sqrt(math.sqrt(math.sqrt(float(counts[v]))))
            power[n_used] = root
            square += root * root
            n_used += 1
    if n_used == 0 or columns.shape[1] == 0:
        return 0.0
    flat = columns.reshape(-1)
    best = spread(np.float32(0.0))  # no two directions are further apart
    for row in range(0, columns.shape[1], 32):
        a = spread(np.float32(0.0))
        b, c, d = a, a, a
        for i in range(n_used):
            at, p = used[i] + row, repeat(power, i)
            a = multiply_add(p, load8(flat, at), a)
            b = multiply_add(p, load8(flat, at + 8), b)
            c = multiply_add(p, load8(flat, at + 16), c)
            d = multiply_add(p, load8(flat, at + 24), d)
        best = larger(best, larger(larger(a, b), larger(c, d)))
    distance = 1.0 - np.float64(largest(best)) / math.sqrt(square)
    # Equal directions differ by rounding alone; that must not look like a distance.
    return distance if distance > 1e-6 else 0.0
