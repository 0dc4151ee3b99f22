"""A training in a few lines: the loss, and the heads that have a role, at some of its steps."""

from __future__ import annotations

import math

from .card import Card
from .stages import HeadStage
from .words import percent

_SHOWN = 8  # steps of the table
_FORMED = 0.05  # attention by a role from which on a head is told
_ROLES = ("previous", "duplicate", "induction")


def history_text(card: Card) -> list[str]:
    """What each layer buys, and a table of the training; no lines for a model without either."""
    return [*_layers(card), *_stages(card)]


def _layers(card: Card) -> list[str]:
    losses = layer_losses(card)
    if len(losses) < 2:
        return []
    told = ", ".join(f"{words} {loss / math.log(2.0):.3f}" for words, loss in losses)
    return [f"What each layer buys, bits per held-out event: {told}"]


def layer_losses(card: Card) -> list[tuple[str, float]]:
    """Held-out loss by number of layers, each decoder fitted to the same streams; nats."""
    losses = [("no layers", card.loss_bigram)] if card.n_layers else []
    if card.loss_one_layer is not None:
        losses.append(("1 layer", card.loss_one_layer))
    return [*losses, (f"{card.n_layers} layer{'s' if card.n_layers > 1 else ''}", card.loss)]


def _stages(card: Card) -> list[str]:
    if card.history is None:
        return []
    stages = card.history.stages
    shown = stages if len(stages) <= _SHOWN else (*stages[:1], *stages[1 - _SHOWN :])
    bigram = card.history.loss_bigram
    beside = "" if bigram is None else f" (bigram control {_bits(bigram)})"
    lines = [
        f"As it trained: bits per event{beside}, and where heads look, on held-out windows",
        _row("step", [f"{stage.step:,}" for stage in shown]),
        _row("loss", [_bits(stage.loss) for stage in shown]),
    ]
    for index, head in enumerate(stages[-1].heads):
        role = formed(head)
        if role is not None:
            scores = [stage.heads[index].on_windows[role] for stage in shown]
            told = ["–" if score is None else percent(score) for score in scores]
            lines.append(_row(f"{head.name} {role}", told))
    return lines


def formed(head: HeadStage) -> str | None:
    """The role that a head has come to, if it was worth telling."""
    role = max(_ROLES, key=lambda name: head.on_windows[name] or 0.0)
    return role if (head.on_windows[role] or 0.0) >= _FORMED else None


def _row(name: str, cells: list[str]) -> str:
    return f"  {name:<16}" + "".join(f"{cell:>9}" for cell in cells)


def _bits(nats: float) -> str:
    return f"{nats / math.log(2.0):.2f}"
