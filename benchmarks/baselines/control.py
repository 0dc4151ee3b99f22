"""The control: a decoder without layers, a bigram table W_E W_U + b_U of low rank.

It is trained in the same loop as a decoder with layers, so what those add is the difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from ...model.config import preset
from ...model.decoder import Decoder
from ...model.vocabulary import PAST, START
from ...training.loop import LoopConfig, fit_decoder
from ...training.ngram import join
from .baseline import Scores, Tokens, Training, largest

_STEPS = 1000
_NEW_MASS = 1e-4  # probability kept for what training never showed


class Control:
    """Surprisal of each event given the one before it."""

    def __init__(self, training: Training) -> None:
        tokens = np.concatenate([t[1:] for t in training.fit.tokens])
        weights = np.repeat(training.fit.counts, [len(t) - 1 for t in training.fit.tokens])
        counts = np.bincount(tokens, weights, minlength=training.d_vocab)
        counts[[START, PAST]] = 0.0  # never an outcome
        log_unigram = torch.from_numpy(np.log((counts + 0.1) / counts.sum())).float()
        torch.manual_seed(training.seed)
        weights_of, progress = fit_decoder(
            Decoder(replace(preset("tiny", training.d_vocab), n_layers=0), log_unigram),
            training.fit,
            training.held,
            LoopConfig(
                seed=training.seed, least_steps=200, most_steps=_STEPS, device=training.device
            ),
            new_mass=_NEW_MASS,
            quiet=True,
        )
        logits = weights_of.W_E.astype(np.float64) @ weights_of.W_U + weights_of.b_U
        self._surprisal: NDArray[np.float64] = -log_softmax(logits, axis=1)
        self.setting = f"{progress.best_step} steps"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        tokens, offsets = join(sequences)
        surprisal = np.append(0.0, self._surprisal[tokens[:-1], tokens[1:]])
        events = [surprisal[start + 1 : stop] for start, stop in itertools.pairwise(offsets)]
        mean = np.array([one.mean() for one in events])
        return {"control_max": largest(events), "control_mean": Scores(mean)}
