"""The scorer computes what the decoder computes, one event at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offscript.model.config import DecoderConfig
from offscript.model.decoder import decoder_from
from offscript.model.scorer import score_sequence
from offscript.model.vocabulary import END, START
from offscript.model.weights import random_weights


@pytest.mark.parametrize("n_layers", [0, 1, 2])
@pytest.mark.parametrize(
    ("d_vocab", "window", "length"), [(30, 64, 400), (5, 8, 100), (300, 32, 90)]
)
def test_the_scorer_equals_the_decoder_at_every_position(
    n_layers: int, d_vocab: int, window: int, length: int
) -> None:
    config = DecoderConfig(d_vocab=d_vocab, n_layers=n_layers, window=window)
    weights = random_weights(config, seed=n_layers, scale=0.2)
    tokens = np.random.default_rng(1).integers(3, d_vocab, length)
    tokens[0], tokens[-1] = START, END

    surprisal, entropy = score_sequence(weights, tokens)

    with torch.no_grad():
        decoder = decoder_from(weights, config).double()
        log_p = decoder(torch.from_numpy(tokens)[None]).log_softmax(-1)[0].numpy()
    np.testing.assert_allclose(surprisal, -log_p[np.arange(length - 1), tokens[1:]], atol=1e-4)
    np.testing.assert_allclose(entropy, -(np.exp(log_p) * log_p).sum(1)[:-1], atol=1e-4)


def test_a_window_too_wide_for_the_ring_is_refused() -> None:
    weights = random_weights(DecoderConfig(d_vocab=6, window=100), seed=0)

    with pytest.raises(ValueError, match="see further back"):
        score_sequence(weights, np.array([START, END]))
