"""How long one explanation takes, without and with its checks, and how long Kernel SHAP does.

`milliseconds_searched` is with checks where the search for what would have made the event normal
goes on to its end and finds nothing, which takes longest. CPU time on one thread, which other work
on the machine disturbs less than the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..interpret.explain import explain
from ..interpret.reference import fit_reference
from ..model.config import DecoderConfig, ModelConfig, StreamConfig
from ..model.event import EventConfig
from ..model.folder import Model
from ..model.vocabulary import END, SPECIAL, START, Vocabulary
from ..model.weights import random_weights
from ..training.batches import Sequences
from ..training.fit import Fitted, bare_model
from .attributions import Explained, Question, kernel_shap
from .faithfulness_alerts import alert_of

SIZES = {
    "default_preset": DecoderConfig(d_vocab=128, d_model=128),
    "v1000_w256": DecoderConfig(d_vocab=1000, d_model=128, window=256),
}
_ALERTS = 30
_SLOW_WINDOW = 64  # SHAP takes minutes of an alert with a wider one


def timings(config: DecoderConfig) -> Iterator[tuple[str, str, list[float]]]:
    """Method, measure and milliseconds an alert, of windows as full as they get.

    Weights are random, as those take as long as trained ones.
    """
    rng = np.random.default_rng(0)
    length = 2 * config.window - 1
    streams = [
        np.array([START, *rng.integers(len(SPECIAL), config.d_vocab, length), END])
        for _ in range(_ALERTS)
    ]
    model = _random(config, streams)
    explained = Explained.of(model)
    questions = [Question(explained, tokens[:-2], int(tokens[-2])) for tokens in streams]
    alerts = [alert_of(question) for question in questions]
    explain(model, alerts[0])  # what happens once is not counted
    never = [replace(alert, limit=0.0) for alert in alerts]  # no surprisal is below that
    for measure, asked, checks in (
        ("milliseconds", alerts, False),
        ("milliseconds_checked", alerts, True),
        ("milliseconds_searched", never, True),
    ):
        took = [milliseconds(partial(explain, model, alert, checks=checks)) for alert in asked]
        yield "offscript", measure, took
    if config.window <= _SLOW_WINDOW:
        yield "kernel_shap", "milliseconds", [milliseconds(partial(kernel_shap, questions[0]))]


def _random(config: DecoderConfig, streams: list[NDArray[np.int64]]) -> Model:
    names = (*SPECIAL, *(f"event {i}" for i in range(config.d_vocab - len(SPECIAL))))
    weights = random_weights(config, seed=0, scale=0.2)
    fitted = Fitted(
        config=ModelConfig(config, EventConfig(format="sequences"), StreamConfig()),
        vocabulary=Vocabulary(names, (1,) * len(names)),
        weights=weights,
        sequences=Sequences.of([]),
        new_mass=0.0,
        loss=np.nan,
        steps=0,
        tokens=0,
        seconds=0.0,
    )
    return replace(bare_model(fitted, []), reference=fit_reference(weights, streams))


def milliseconds(act: Callable[[], object]) -> float:
    """CPU time of one call."""
    with threadpool_limits(1):
        began = time.process_time()
        act()
        return 1e3 * (time.process_time() - began)
