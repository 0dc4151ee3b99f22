"""What is lost without a part of the decoder: its results set to zero, to their mean, or drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int

from ..model.errors import InputError
from ..model.weights import Weights
from .activations import run
from .patching import parts, patch, results
from .stages import loss_of

Array = np.ndarray

By = Literal["zero", "mean", "resample"]


@dataclass(frozen=True)
class Ablation:
    """Loss in nats per event of the windows, with the part and without it."""

    loss: float
    without: float

    @property
    def rise(self) -> float:
        return self.without - self.loss


def ablate(
    weights: Weights,
    windows: Sequence[Int[Array, " _"]],
    part: str,
    *,
    by: By,
    into: Collection[str] | None = None,
    seed: int = 0,
) -> Ablation:
    """Score the windows again where `part` writes something else into the readers `into`, or all.

    "zero" writes nothing; "mean" what the part writes on average over all positions of the windows;
    "resample" what it wrote at positions drawn at random from them. With `into` one path is cut:
    "L0H1" into "L1H2.K" is what L1H2's keys read of L0H1. `weights` in float64.
    """
    if not windows:
        raise InputError("there are no windows to score; a model's own are `Transformer.windows`")
    runs = [run(weights, window[:-1]) for window in windows]
    if part in parts(weights):
        every = np.concatenate([results(weights, each)[part] for each in runs])
    else:
        every = np.zeros((0, weights.d_model))  # `patch` will say so
    rng = np.random.default_rng(seed)
    patched = [
        patch(weights, each, {part: _instead(every, len(each.tokens), by, rng)}, into=into)
        for each in runs
    ]
    return Ablation(loss_of(runs, windows), loss_of(patched, windows))


def _instead(
    every: Float64[Array, "written d_model"], positions: int, by: By, rng: np.random.Generator
) -> Float64[Array, "positions d_model"]:
    if by == "zero":
        return np.zeros((positions, every.shape[1]))
    if by == "mean":
        return np.broadcast_to(every.mean(axis=0), (positions, every.shape[1]))
    return np.asarray(every[rng.integers(len(every), size=positions)])
