"""The decoder run again with other results in some of its parts: activation and path patching.

A part writes into the residual stream: "embed" an event's row of W_E, a head such as "L0H2" its
result, z W_O. The stream is read by every head's queries, keys and values ("L1H0.Q", "L1H0.K",
"L1H0.V") and by the "logits". A patch into one reader alone is a patch of one path.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Float64

from ..model.errors import InputError
from ..model.weights import Weights
from .activations import Activations, attend

Array = np.ndarray

LOGITS = "logits"


def parts(weights: Weights) -> tuple[str, ...]:
    """What writes into the residual stream, in order: embed, L0H0, L0H1, …"""
    heads = [f"L{l}H{h}" for l in range(weights.n_layers) for h in range(weights.n_heads)]
    return ("embed", *heads)


def readers(weights: Weights) -> tuple[str, ...]:
    """What reads from the residual stream, in order: L0H0.Q, L0H0.K, L0H0.V, …, logits."""
    return (*(f"{head}.{side}" for head in parts(weights)[1:] for side in "QKV"), LOGITS)


def results(
    weights: Weights, activations: Activations
) -> dict[str, Float64[Array, "positions d_model"]]:
    """What each part wrote in a full run; with the layers' b_O they add up to resid_post."""
    written = {"embed": weights.W_E[activations.tokens]}
    for index, layer in enumerate(activations.layers):
        for head, result in enumerate(layer.z @ weights.W_O[index]):
            written[f"L{index}H{head}"] = result
    return written


def patch(
    weights: Weights,
    activations: Activations,
    other: Mapping[str, Float64[Array, "positions d_model"]],
    *,
    into: Collection[str] | None = None,
) -> Activations:
    """The run on the same tokens where `other` stands for what the parts it names write.

    Only the readers `into` see it, all if left out; what they make of it goes on from there. Of the
    run that comes back, `resid_post` is what the logits read, and `resid_pre` what readers other
    than `into` do. `weights` in float64.
    """
    positions = len(activations.tokens)
    _check(weights, positions, other, into)
    own = {"embed": weights.W_E[activations.tokens]}
    seeing = readers(weights) if into is None else into
    fixed = np.zeros(weights.d_model)  # the b_O of the layers so far
    resid_pre, layers = [], []
    for index in range(weights.n_layers):
        resid, patched = _streams(own, other, fixed)
        resid_pre.append(patched if into is None else resid)
        q, k, v = (
            np.stack(
                [
                    (patched if f"L{index}H{head}.{side}" in seeing else resid) @ W[index, head]
                    for head in range(weights.n_heads)
                ]
            )
            + b[index][:, None]
            for side, W, b in (
                ("Q", weights.W_Q, weights.b_Q),
                ("K", weights.W_K, weights.b_K),
                ("V", weights.W_V, weights.b_V),
            )
        )
        layer = attend(weights, index, q, k, v)
        layers.append(layer)
        for head, result in enumerate(layer.z @ weights.W_O[index]):
            own[f"L{index}H{head}"] = result
        fixed = fixed + weights.b_O[index]
    resid, patched = _streams(own, other, fixed)
    resid_post = patched if LOGITS in seeing else resid
    logits = resid_post @ weights.W_U + weights.b_U
    return Activations(activations.tokens, tuple(resid_pre), tuple(layers), resid_post, logits)


def _streams(
    own: Mapping[str, Array], other: Mapping[str, Array], fixed: Float64[Array, " d_model"]
) -> tuple[Float64[Array, "positions d_model"], Float64[Array, "positions d_model"]]:
    """The residual stream of what the parts so far write themselves, and the patched one."""
    resid = np.asarray(sum(own.values()) + fixed)
    swapped = [other[part] - own[part] for part in own if part in other]
    return resid, np.asarray(resid + sum(swapped))


def _check(
    weights: Weights,
    positions: int,
    other: Mapping[str, Array],
    into: Collection[str] | None,
) -> None:
    for kind, given, known in (
        ("part", other, parts(weights)),
        ("reader", into or (), readers(weights)),
    ):
        for name in given:
            if name not in known:
                raise InputError(
                    f"this decoder has no {kind} {name!r}; expected one of {', '.join(known)}"
                )
    expected = (positions, weights.d_model)
    for name, result in other.items():
        if result.shape != expected:
            raise InputError(
                f"the result of {name} is {result.shape}, this run needs {expected}: take it from "
                "a run on as many events"
            )
