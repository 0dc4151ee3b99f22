"""What every method is asked: a window, what came after it, and what had been expected instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import embedding, linear

from ...interpret.activations import Activations, run
from ...interpret.directions import Direction, headline
from ...interpret.paths import Paths, expand
from ...interpret.reference import Reference, read_reference
from ...model.alert import Alert
from ...model.config import DecoderConfig
from ...model.decoder import Attention, Decoder, decoder_from
from ...model.folder import Model
from ...model.vocabulary import PAST, START
from ...model.weights import Weights


@dataclass(frozen=True)
class Explained:
    """A model as the methods read it."""

    weights: Weights  # float64
    decoder: Decoder
    reference: Reference

    @classmethod
    def of(cls, model: Model) -> Explained:
        weights = model.weights.astype(np.float64)
        decoder = decoder_from(model.weights, model.config.decoder).requires_grad_(False)
        return cls(weights, decoder, read_reference(model.reference, weights))

    @property
    def config(self) -> DecoderConfig:
        return self.decoder.config

    def embedded(self, tokens: Int[np.ndarray, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        return embedding(torch.from_numpy(np.asarray(tokens, dtype=np.int64)), self.decoder.W_E)

    def mean_embedding(self) -> Float[Tensor, " d_model"]:
        """Of the events of training."""
        return torch.from_numpy(self.reference.last).float() @ self.decoder.W_E

    def logits(
        self, embedded: Float[Tensor, "batch position d_model"]
    ) -> Float[Tensor, "batch d_vocab"]:
        """What is predicted after the last position, from embeddings in place of tokens."""
        resid = embedded
        for layer in self.decoder.layers:
            assert isinstance(layer, Attention)
            resid = resid + layer.attend(layer.project(resid))
        return linear(resid[:, -1], self.decoder.W_U.T, self.decoder.b_U)


@dataclass(frozen=True)
class Question:
    """Why `observed` came as a surprise after `tokens`; an answer has a number for each of them."""

    model: Explained
    tokens: Int[np.ndarray, " sources"]
    observed: int

    @classmethod
    def of_alert(cls, model: Explained, alert: Alert) -> Question:
        """Of an alert that one event raised: all that its score depends on."""
        field = model.config.n_layers * (model.config.window - 1) + 1
        return cls(model, np.array(alert.tokens[-field - 1 : -1]), alert.tokens[-1])

    @cached_property
    def activations(self) -> Activations:
        return run(self.model.weights, self.tokens)

    @cached_property
    def direction(self) -> Direction:
        """What the product holds the observed event against; the same for all methods."""
        return headline(self.activations.logits[-1], self.observed)

    def paths(self, reference: Reference) -> Paths:
        return expand(self.model.weights, self.activations, self.direction.w[None], reference)

    def log_odds(
        self, embedded: Float[Tensor, "batch position d_model"]
    ) -> Float[Tensor, " batch"]:
        """log p(expected) / p(observed) with other embeddings for the window's."""
        logits = self.model.logits(embedded)
        expected = torch.logsumexp(logits[:, list(self.direction.against)], dim=1)
        return expected - logits[:, self.observed]

    def log_odds_of(
        self, windows: Int[np.ndarray, "windows sources"]
    ) -> Float64[np.ndarray, " windows"]:
        with torch.no_grad():
            return self.log_odds(self.model.embedded(windows)).double().numpy()

    def surprisal_of(
        self, windows: Int[np.ndarray, "windows sources"]
    ) -> Float64[np.ndarray, " windows"]:
        """Of the observed event after other windows."""
        with torch.no_grad():
            likely = torch.log_softmax(self.model.logits(self.model.embedded(windows)), dim=1)
            return -likely[:, self.observed].double().numpy()


Method = Callable[[Question], Float64[np.ndarray, " sources"]]


def typical(
    model: Explained, rng: np.random.Generator, shape: tuple[int, ...]
) -> Int[np.ndarray, "*shape"]:
    """Events drawn as often as each is met in training; no stream begins with them."""
    share = model.reference.last.copy()
    share[[START, PAST]] = 0.0
    return rng.choice(len(share), size=shape, p=share / share.sum())
