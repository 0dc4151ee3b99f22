"""Real alerts: is what the product says would have made one normal true when it is scored again?

Its counterfactual search chooses what comes in as well as where, so `changed_at_k` is no rival of
`repaired_at_3`, for which a method names the place and typical events come in. It is the share of
alerts of one event that fall below their limit with at most k other events before;
`changed_normal_at_3`, where besides nothing else in the window, the events that come in included,
becomes a surprise past the limit of an event by that. Nothing is taken from the search's own word:
the decoder scores the changed windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Int

from ..interpret.counterfactual import Repair, repair
from ..interpret.window import Window
from ..model.alert import DETECTORS, Alert
from ..model.folder import Model
from .attributions.question import Explained, Method, Question
from .faithfulness_timing import milliseconds

_MOST = 3
_EVENT = DETECTORS.index("event")


def changed(model: Model, alerts: Sequence[Alert]) -> dict[str, float]:
    """The measures, over alerts of one event."""
    explained = Explained.of(model)
    needed, normal = [], []
    for alert in alerts:
        question = Question.of_alert(explained, alert)
        was = np.append(question.tokens, question.observed)
        now = was.copy()
        for other in searched(model, question, alert).replacements:
            now[-1 - other.lag] = model.vocabulary.ids([other.by])[0]
        before, after = surprisals(explained, was), surprisals(explained, now)
        fell = now[-1] == was[-1] and after[-1] <= alert.limit
        needed.append(np.count_nonzero(now != was) if fell else np.inf)
        limit = event_limit(model, alert)
        normal.append(not ((after[:-1] > limit) & (before[:-1] <= limit)).any())
    found = {
        f"changed_at_{k}": np.mean([many <= k for many in needed]) for k in range(1, _MOST + 1)
    }
    found[f"changed_normal_at_{_MOST}"] = np.mean(
        [many <= _MOST and rest for many, rest in zip(needed, normal, strict=True)]
    )
    return {measure: float(share) for measure, share in found.items()}


def searched(model: Model, question: Question, alert: Alert) -> Repair:
    """What the product would say of the alert."""
    window = Window(
        question.model.weights,
        model.vocabulary,
        question.model.reference,
        alert,
        len(alert.tokens) - 1,
        question.activations,
    )
    return repair(window, alert.limit, event_limit(model, alert))


def event_limit(model: Model, alert: Alert) -> float:
    """What the surprisal of one event must pass for an alert."""
    return float(model.calibration.of(alert.joined).limits()[_EVENT])


def surprisals(model: Explained, tokens: Int[np.ndarray, " events"]) -> Float64[np.ndarray, " _"]:
    """Of all events of a window but the first, by the decoder."""
    with torch.no_grad():
        logits = model.decoder(torch.from_numpy(tokens[None, :-1]))[0]
        likely = torch.log_softmax(logits, dim=1).double().numpy()
    return np.asarray(-likely[np.arange(len(tokens) - 1), tokens[1:]])


def answer_times(
    model: Model, alerts: Sequence[Alert], methods: Mapping[str, Method]
) -> dict[str, float]:
    """Median milliseconds of CPU until a method has its answer, running the model included."""
    explained = Explained.of(model)
    each: dict[str, list[float]] = {name: [] for name in (*methods, "counterfactual")}
    for alert in alerts:
        asked: dict[str, Callable[[Question], object]] = {
            **methods,
            "counterfactual": partial(searched, model, alert=alert),
        }
        for name, method in asked.items():
            # A question remembers the run.
            question = Question.of_alert(explained, alert)
            each[name].append(milliseconds(partial(method, question)))
    return {name: float(np.median(found)) for name, found in each.items()}
