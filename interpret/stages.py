"""Stages of a training: what a decoder's loss and heads were at some of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from ..model.errors import ModelError
from ..model.weights import Weights
from .activations import Activations, run
from .circuits import ov_circuits, positivity
from .directions import surprisal
from .roles import by_role, role_scores, role_scores_of

Array = np.ndarray


@dataclass(frozen=True)
class HeadStage:
    """One head at one step, by the scores that the card has of the finished one."""

    name: str
    on_windows: dict[str, float | None]  # mean attention by role
    on_repeats: dict[str, float | None]
    copying: float  # positivity of its OV circuit, over all events
    work: float  # nats per event that are lost if it writes to the logits what it does on average


@dataclass(frozen=True)
class Stage:
    """A decoder at one step."""

    step: int
    loss: float  # nats per event of the windows watched
    heads: tuple[HeadStage, ...]


@dataclass(frozen=True)
class History:
    """All stages up to the step whose weights are kept, looked at on the same windows."""

    events: int  # of the windows
    loss_bigram: float | None  # of the bigram control; None where it has other events
    stages: tuple[Stage, ...]


def read_history(value: Mapping[str, Any]) -> History | None:
    """The history as a model folder keeps it; None if an earlier version kept none."""
    if not value:
        return None
    try:
        stages = tuple(
            Stage(
                stage["step"],
                stage["loss"],
                tuple(HeadStage(**head) for head in stage["heads"]),
            )
            for stage in value["stages"]
        )
        return History(value["events"], value["loss_bigram"], stages)
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"the model's history.json does not fit: {error!r}; train again"
        ) from error


def look(
    weights: Weights,
    step: int,
    windows: Sequence[Int[Array, " _"]],
    repeats: Sequence[Int[Array, " _"]],
) -> Stage:
    """The stage that `weights`, in float64, have reached."""
    runs = [run(weights, window[:-1]) for window in windows]
    # Virtual heads come last in the OV circuits, and have no pattern of their own.
    circuits = ov_circuits(weights)[: weights.n_layers * weights.n_heads]
    on_windows, _ = role_scores_of(runs, len(circuits))
    on_repeats, _ = role_scores(weights, repeats)
    read = np.concatenate([window[:-1] for window in windows])
    last = np.bincount(read, minlength=weights.d_vocab) / len(read)
    heads = tuple(
        HeadStage(
            name=circuit.name,
            on_windows=by_role(on_windows[index]),
            on_repeats=by_role(on_repeats[index]),
            copying=positivity(circuit.centred(last)),
            work=work,
        )
        for index, (circuit, work) in enumerate(
            zip(circuits, _work(weights, runs, windows), strict=True)
        )
    )
    return Stage(step, loss_of(runs, windows), heads)


def _work(
    weights: Weights, runs: Sequence[Activations], windows: Sequence[Int[Array, " _"]]
) -> list[float]:
    """Of each head what `ablate` by its mean into the logits finds, for all heads at once."""
    logits = np.concatenate([each.logits for each in runs])
    following = np.concatenate([window[1:] for window in windows])
    loss = surprisal(logits, following).mean()
    rises = []
    for index in range(weights.n_layers):
        for head in range(weights.n_heads):
            z = np.concatenate([each.layers[index].z[head] for each in runs])
            brought = (z - z.mean(axis=0)) @ (weights.W_O[index, head] @ weights.W_U)
            rises.append(float(surprisal(logits - brought, following).mean() - loss))
    return rises


def loss_of(runs: Sequence[Activations], windows: Sequence[Int[Array, " _"]]) -> float:
    """Mean surprisal of the windows' events in nats, the first of each being given."""
    every = [surprisal(each.logits, window[1:]) for each, window in zip(runs, windows, strict=True)]
    return float(np.concatenate(every).mean())
