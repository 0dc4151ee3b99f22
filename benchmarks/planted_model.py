"""A decoder of the default preset fitted to planted streams, with what explanations need of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..interpret.reference import fit_reference
from ..model.config import StreamConfig
from ..model.event import EventConfig
from ..model.folder import Model
from ..training.calibrate import Stream
from ..training.config import TrainConfig
from ..training.fit import bare_model, fit_decoder_to
from .planted import Grammar

_STREAMS = 2_000
_HELD = 400  # of them
_STEPS = 1_000  # the rules are learned by then; a training would go on to refine the noise


def fit_planted(grammar: Grammar, scratch: Path, *, seed: int) -> Model:
    """A model that explains and scores; it has no thresholds, which planted streams need not."""
    rng = np.random.default_rng(seed)
    streams = [
        Stream(events, np.full(len(events), np.nan), started=True, ended=True)
        for events, _ in (grammar.stream(rng) for _ in range(_STREAMS))
    ]
    config = TrainConfig((), scratch / "planted", steps=_STEPS, seed=seed, quiet=True)
    fitted = fit_decoder_to(
        config,
        EventConfig(format="sequences"),
        StreamConfig(),
        streams[_HELD:],
        streams[:_HELD],
        checkpoint=scratch / "checkpoint",
    )
    known = fitted.sequences
    reference = fit_reference(fitted.weights, known.tokens, known.counts, seed=seed)
    return replace(bare_model(fitted, streams[_HELD:]), reference=reference)
