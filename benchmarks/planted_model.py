"""A decoder of the default preset fitted to planted streams, with what explanations need of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..interpret.reference import fit_reference
from ..interpret.sample import draw_windows
from ..interpret.skips import fit_skips
from ..model.config import StreamConfig
from ..model.event import EventConfig
from ..model.folder import Model
from ..training.config import TrainConfig
from ..training.fit import bare_model, fit_decoder_to
from ..training.held_out import Stream, tokens_of
from .planted import Grammar

_STREAMS = 2_000
_HELD = 400  # of them
_STEPS = 1_000  # the rules are learned by then; a training would go on to refine the noise


def fit_planted(grammar: Grammar, scratch: Path, *, seed: int) -> Model:
    """A model of the grammar's streams."""
    rng = np.random.default_rng(seed)
    streams = [grammar.stream(rng)[0] for _ in range(_STREAMS)]
    return fit_streams(streams, scratch, held=_HELD, steps=_STEPS, seed=seed)


def fit_streams(
    streams: Sequence[Sequence[str]], scratch: Path, *, held: int, steps: int, seed: int
) -> Model:
    """A model that explains, scores and has a card; the first `held` streams are held out.

    It has no thresholds, which planted streams need not, and no baselines.
    """
    whole = [
        Stream(list(events), np.full(len(events), np.nan), started=True, ended=True)
        for events in streams
    ]
    config = TrainConfig((), scratch / "planted", steps=steps, seed=seed, quiet=True)
    fitted = fit_decoder_to(
        config,
        EventConfig(format="sequences"),
        StreamConfig(),
        whole[held:],
        whole[:held],
        checkpoint=scratch / "checkpoint",
    )
    weights, known = fitted.weights, fitted.sequences
    tokens = [tokens_of(fitted.vocabulary, stream) for stream in whole[:held]]
    reference = {
        **fit_reference(weights, known.tokens, known.counts, seed=seed),
        **draw_windows(weights, tokens, seed=seed),
    }
    reference |= fit_skips(weights, reference, known.tokens, known.counts)
    summary = {
        "streams": len(whole),
        "events": sum(map(len, streams)),
        "losses": {"decoder": fitted.loss, "control": math.nan, "ngram": math.nan},
        "ngram_order": 0,
    }
    return replace(bare_model(fitted, whole[held:]), reference=reference, summary=summary)
