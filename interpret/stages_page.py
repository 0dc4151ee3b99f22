"""How a model formed, on its page: loss, roles and copying by step, as small curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .card import Card
from .card_text import share
from .charts import curves
from .head_page import figure
from .markup import Markup, join, tag
from .page import note, section, table
from .stages import HeadStage, History
from .stages_text import in_bits, layer_losses
from .svg import bar

_COLOURS = {"previous": "side-a", "duplicate": "side-b", "induction": "side-c", "rest": "rest"}
_START = 4  # where step 0 stands on a logarithmic axis


def history_page(card: Card) -> Markup:
    """What each layer buys, and the curves of the training."""
    parts: list[Markup] = []
    losses = layer_losses(card)
    if len(losses) > 1:
        rows = [
            (words, bar(0.0, loss, 0.0, losses[0][1]), f"{loss / math.log(2.0):.3f}")
            for words, loss in losses
        ]
        caption = "Bits per held-out event of decoders fitted to the same streams"
        parts.append(table(caption, ("Decoder", "", "bits"), rows))
    if card.history is not None:
        parts += _history(card.history)
    return section("How it formed", *parts) if parts else Markup("")


def _history(history: History) -> list[Markup]:
    steps = [stage.step for stage in history.stages]
    said = (
        f"From step 0 to {steps[-1]:,} from left to right, logarithmic, on {history.events:,} "
        "events of the windows. It begins as a table of counted bigrams, its first heads one, two, "
        "three events back."
    )
    loss = tag("div", figure(*loss_curve(history)), class_="multiples")
    if not history.stages[-1].heads:
        return [note(said), loss]
    legend = tag(
        "p",
        *(
            join([tag("span", class_=f"swatch {colour}"), f"{role} "])
            for role, colour in _COLOURS.items()
        ),
        class_="note",
    )
    parts = [note(said), loss, legend]
    for each in by_head(history):
        drawn = (figure(told, chart) for told, chart in each.drawn)
        parts += [note(each.about), tag("div", *drawn, class_="multiples")]
    return parts


def loss_curve(history: History) -> tuple[str, Markup]:
    """The loss by step, in words and drawn."""
    steps = [stage.step for stage in history.stages]
    losses = [stage.loss for stage in history.stages]
    bigram = history.loss_bigram
    told = f"Loss: {in_bits(losses[0])} → {in_bits(losses[-1])} bits"
    if bigram is not None:
        told += f"; dashed: bigram control, {in_bits(bigram)}"
    high = max(*losses, bigram or 0.0)
    lines = {"loss": losses}
    chart = curves(
        "Held-out loss by step", told, _places(steps), lines, low=0.0, high=high, level=bigram
    )
    return told, chart


@dataclass(frozen=True)
class ByHead:
    """One score of every head by step: each in words and drawn, all on one scale."""

    name: str
    about: str
    drawn: tuple[tuple[str, Markup], ...]


def by_head(history: History) -> list[ByHead]:
    """How the heads formed; nothing for a decoder without any."""
    if not history.stages[-1].heads:
        return []
    works = [head.work for stage in history.stages for head in stage.heads]
    least, most = min(*works, 0.0), max(*works, 0.0)
    work = (
        "Work: bits per event that are lost if a head writes to the logits what it does on "
        f"average, each up to {in_bits(most)}"
    )
    return [
        ByHead(name, about, _drawn(history, scores, words, low, high))
        for name, about, scores, words, low, high in (
            (
                "attention",
                "Attention by role on held-out windows, each from 0 to 100 %",
                lambda head: _roles(head.on_windows),
                share,
                0.0,
                1.0,
            ),
            (
                "repeats",
                "The same on random events that come twice",
                lambda head: _roles(head.on_repeats),
                share,
                0.0,
                1.0,
            ),
            (
                "copying",
                "Copying, each from −1 to 1",
                lambda head: {"copying": head.copying},
                _signed,
                -1.0,
                1.0,
            ),
            ("work", work, lambda head: {"work": head.work}, in_bits, least, most),
        )
    ]


def _drawn(
    history: History,
    scores: Callable[[HeadStage], Mapping[str, float | None]],
    words: Callable[[Any], str],
    low: float,
    high: float,
) -> tuple[tuple[str, Markup], ...]:
    """`words` tells a score beside the curve."""
    places = _places([stage.step for stage in history.stages])
    drawn = []
    for index, last in enumerate(history.stages[-1].heads):
        by_stage = [scores(stage.heads[index]) for stage in history.stages]
        lines = {name: [by[name] for by in by_stage] for name in by_stage[0]}
        told = ", ".join(
            f"{name} {words(values[0])} → {words(values[-1])}" for name, values in lines.items()
        )
        classes = {_COLOURS.get(name, name): values for name, values in lines.items()}
        chart = curves(f"{last.name} by step", told, places, classes, low=low, high=high)
        drawn.append((f"{last.name}: {told}", chart))
    return tuple(drawn)


def _roles(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    return {role: scores[role] for role in _COLOURS}


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _places(steps: list[int]) -> list[float]:
    return [math.log2(max(step, _START)) for step in steps]
