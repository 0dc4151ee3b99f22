"""Groups of outcomes: a signed table as signed contexts times non-negative groups."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

Array = np.ndarray

_TINY = 1e-12


def one_sided_nmf(
    table: Float64[Array, "rows columns"], groups: int, *, seed: int = 0, iterations: int = 150
) -> tuple[Float64[Array, "rows groups"], Float64[Array, "groups columns"]]:
    """table ≈ contexts @ groups, the groups non-negative and of length one; most important first.

    [W⁺; W⁻] ≈ [A⁺; A⁻] B with A, B ≥ 0, so that W ≈ (A⁺ − A⁻) B, by multiplicative updates
    (Lee and Seung), which lower the squared error in every step. The start is random but seeded.
    """
    x = np.concatenate([np.maximum(table, 0.0), np.maximum(-table, 0.0)])
    rng = np.random.default_rng(seed)
    scale = np.sqrt(max(float(x.mean()), _TINY) / groups)
    a = scale * rng.uniform(0.5, 1.5, (len(x), groups))
    b = scale * rng.uniform(0.5, 1.5, (groups, x.shape[1]))
    for _ in range(iterations):
        a *= (x @ b.T) / (a @ (b @ b.T) + _TINY)
        b *= (a.T @ x) / (a.T @ a @ b + _TINY)
        # Numbers that vanish would become denormal, which are a hundred times slower.
        a[a < _TINY] = 0.0
        b[b < _TINY] = 0.0
    length = np.linalg.norm(b, axis=1)
    b /= np.maximum(length, _TINY)[:, None]
    a *= length
    contexts = a[: len(table)] - a[len(table) :]
    order = np.argsort(-np.linalg.norm(contexts, axis=0), kind="stable")
    return contexts[:, order], b[order]


def explained(
    table: Float64[Array, "rows columns"],
    contexts: Float64[Array, "rows groups"],
    groups: Float64[Array, "groups columns"],
) -> float:
    """1 − ‖W − A B‖² / ‖W‖²."""
    size = float((table**2).sum())
    return 1.0 - float(((table - contexts @ groups) ** 2).sum()) / size if size else 0.0
