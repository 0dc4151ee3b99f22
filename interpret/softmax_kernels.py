"""The softmax over rows of float64, compiled by Numba; softmax.py says what it is."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numba import njit

from ..model.kernel_cache import can_keep

_LEAST = -708.0  # what is below has no normal number for eˣ
_SHIFT = 1.5 * 2.0**52  # added, rounds to a whole number, which the last bits then hold
_LOG_2 = (0.6931471803691238, 1.9082149292705877e-10)  # the first has zeros at its end
_NEXT, *_REST = (1.0 / math.factorial(i) for i in range(13, -1, -1))
_SERIES = tuple(_REST)


_jit = partial(njit, cache=can_keep(), nogil=True, error_model="numpy")
# Compiled when they are imported, so that nobody who asks "why?" waits for it.
_jit_rows = _jit("void(f8[:, ::1], f8[::1], f8[::1])", fastmath={"contract", "reassoc"})


@_jit(fastmath={"contract"})
def _exp(x):
    # x = k ln 2 + r: 2ᵏ goes into the exponent's bits, eʳ is its Taylor series.
    least = max(x, _LEAST)
    shifted = least * (1.0 / math.log(2.0)) + _SHIFT
    k = shifted - _SHIFT
    r = least - k * _LOG_2[0] - k * _LOG_2[1]
    series = _NEXT
    for coefficient in _SERIES:
        series = series * r + coefficient
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52)
    return 0.0 if x < _LEAST else series * power.view(np.float64)


@_jit_rows
def write_softmax(x, top, sink):
    """Shares over x, and the logs of the sums over sink; `top` is the largest of both, by row."""
    for row in range(x.shape[0]):
        total = math.exp(sink[row] - top[row])
        for i in range(x.shape[1]):
            share = _exp(x[row, i] - top[row])
            x[row, i] = share
            total += share
        for i in range(x.shape[1]):
            x[row, i] /= total
        sink[row] = top[row] + math.log(total)


@_jit_rows
def write_lse(x, top, sums):
    """The logs of the sums."""
    for row in range(x.shape[0]):
        total = 0.0
        for i in range(x.shape[1]):
            total += _exp(x[row, i] - top[row])
        sums[row] = top[row] + math.log(total)
