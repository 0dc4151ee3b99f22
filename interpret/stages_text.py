"""A training in a few lines: its loss and its busiest heads, at some of its steps."""

from __future__ import annotations

import math

from .card import Card
from .stages import HeadStage
from .words import percent

_SHOWN = 8  # steps of the table
_FORMED = 0.05  # attention by a role from which on a head is told
_WORKING = 3  # heads that are told
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
    beside = "" if bigram is None else f" (bigram control {in_bits(bigram)})"
    lines = [
        f"As it trained, in bits{beside}: loss, and roles and work of its busiest heads",
        _row("step", [f"{stage.step:,}" for stage in shown]),
        _row("loss", [in_bits(stage.loss) for stage in shown]),
    ]
    heads = stages[-1].heads
    by_work = sorted(range(len(heads)), key=lambda index: -heads[index].work)
    for index in sorted(by_work[:_WORKING]):
        name, role = heads[index].name, formed(heads[index])
        if role is not None:
            told = [percent(stage.heads[index].on_windows[role] or 0.0) for stage in shown]
            lines.append(_row(f"{name} {role}", told))
        told = [in_bits(stage.heads[index].work) for stage in shown]
        lines.append(_row(f"{name} work", told))
    return lines


def formed(head: HeadStage) -> str | None:
    """The role that a head has come to, if it was worth telling."""
    role = max(_ROLES, key=lambda name: head.on_windows[name] or 0.0)
    return role if (head.on_windows[role] or 0.0) >= _FORMED else None


def _row(name: str, cells: list[str]) -> str:
    return f"  {name:<16}" + "".join(f"{cell:>9}" for cell in cells)


def in_bits(nats: float) -> str:
    """Two decimals, with a true minus sign."""
    shown = f"{nats / math.log(2.0):.2f}"
    return "0.00" if shown == "-0.00" else shown.replace("-", "−")
