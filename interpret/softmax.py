"""The softmax in float64, with a sink or without, which is what explanations mostly wait for.

NumPy has vectors for eˣ with AVX-512 alone. Elsewhere it asks the C library for one number after
another, which takes three to ten times as long (measured); the kernel is compiled to vectors.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

Array = np.ndarray


def take_softmax(
    x: Float64[Array, "*batch n"], sink: Float64[Array, "*#batch"] | float = -math.inf
) -> Float64[Array, "*batch"]:
    """exp(x) / (Σ exp(x) + exp(sink)) over the last axis in x's place, and the log of the sum.

    Each eˣ is right to 2e-16 of itself, and 0 where x is 708 below the largest. In place because
    fresh memory takes longer than the work in it; x must be contiguous.
    """
    from .softmax_kernels import write_softmax  # half a second for Numba, which `--help` is spared

    assert x.flags.c_contiguous
    top = np.maximum(x.max(axis=-1), sink)
    lse = np.full(top.shape, sink)
    write_softmax(x.reshape(-1, x.shape[-1]), top.reshape(-1), lse.reshape(-1))
    return lse


def log_sum_exp(x: Float64[Array, "*batch n"]) -> Float64[Array, "*batch"]:
    """log Σ exp(x) over the last axis."""
    from .softmax_kernels import write_lse

    top = np.asarray(x.max(axis=-1))
    lse = np.empty(top.shape)
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    write_lse(rows, top.reshape(-1), lse.reshape(-1))
    return lse


def warm() -> None:
    """Have the kernels compiled, so that the first explanation does not wait for it."""
    take_softmax(np.zeros((1, 1)))
