"""Small decoders to explain: random ones, and one whose mechanism is written by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offscript.interpret.card import Card
from offscript.interpret.contexts import fit_contexts
from offscript.interpret.reading import read_model
from offscript.interpret.reference import fit_reference
from offscript.interpret.sample import draw_windows
from offscript.interpret.skips import fit_skips
from offscript.model.alert import DETECTORS, Alert
from offscript.model.config import DecoderConfig
from offscript.model.folder import load_model
from offscript.model.vocabulary import END, SPECIAL, START, Vocabulary
from offscript.model.weights import Weights, random_weights, shapes


def _model(weights: Weights, *, reference: bool = True, seed: int = 0) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    d_vocab = weights.d_vocab
    events = np.arange(len(SPECIAL), d_vocab)
    sequences = [
        np.concatenate([[START], rng.choice(events, size=rng.integers(1, 40)), [END]])
        for _ in range(50)
    ]
    names = (*SPECIAL, *(f"event {index}" for index in range(d_vocab - len(SPECIAL))))
    return SimpleNamespace(
        weights=weights,
        vocabulary=Vocabulary(names, (1,) * d_vocab),
        reference=fit_reference(weights, sequences) if reference else {},
        calibration=SimpleNamespace(
            kappa=0.25,
            usual=1.5,
            of=lambda _: SimpleNamespace(limits=lambda: np.full(len(DETECTORS), 5.0)),
        ),
        count_vectors=np.zeros((0, d_vocab), dtype=np.float32),
        history={},
    )


@pytest.fixture
def make_model() -> Callable[..., SimpleNamespace]:
    """A model around weights; `reference=False` leaves the means out."""
    return _model


@pytest.fixture
def make_random() -> Callable[..., SimpleNamespace]:
    """A model with random weights."""

    def make(n_layers: int = 2, d_vocab: int = 12, window: int = 8, seed: int = 0) -> Any:
        config = DecoderConfig(d_vocab, n_layers, d_model=10, n_heads=3, d_head=4, window=window)
        return _model(random_weights(config, seed=seed, scale=0.6))

    return make


@pytest.fixture
def make_kept() -> Callable[..., SimpleNamespace]:
    """A model around weights that keeps windows and skip-trigrams, as a folder does."""

    def make(weights: Weights, *, seed: int = 0) -> SimpleNamespace:
        model = _model(weights, reference=False)
        rng = np.random.default_rng(seed)
        events = np.arange(len(SPECIAL), weights.d_vocab)
        sequences = [
            np.concatenate([[START], rng.choice(events, size=20), [END]]).astype(np.int32)
            for _ in range(12)
        ]
        reference = fit_reference(weights, sequences, windows=10)
        reference = {**reference, **draw_windows(weights, sequences)}
        contexts = fit_contexts(reference, sequences, np.ones(12, np.int64), reach=20)
        model.reference = {**reference, **fit_skips(weights, reference, sequences), **contexts}
        model.summary, model.sha256 = {}, "0" * 64
        return model

    return make


@pytest.fixture
def make_alert() -> Callable[..., Alert]:
    """An alert of given tokens, one event a second."""

    def make(tokens: Sequence[int], detector: str = "event", **changes: Any) -> Alert:
        n = len(tokens)
        fields: dict[str, Any] = {
            "id": "alert-1",
            "model": "0" * 64,
            "stream": "stream-1",
            "detector": detector,
            "time": 1_000_000.0,
            "first_seen": 1_000_000.0,
            "last_seen": 1_000_000.0,
            "count": 1,
            "score": 9.0,
            "threshold": 7.0,
            "statistic": 6.0,
            "limit": 5.0,
            "joined": False,
            "position": n - 1,
            "surprisal": 6.0,
            "entropy": 1.0,
            "observed": "observed",
            "text": None,
            "expected": "expected",
            "expected_probability": 0.5,
            "tokens": tuple(int(token) for token in tokens),
            "times": tuple(1_000_000.0 - np.arange(n)[::-1]),
            "lines": tuple(f"raw line {index}" for index in range(n)),
        }
        return Alert(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def trained_card(tiny_model: Path) -> Card:
    """What a trained model has learned."""
    return read_model(load_model(tiny_model))


@pytest.fixture
def induction() -> Weights:
    """A previous-token head and an induction head over 12 tokens, written by hand.

    The stream has room for three one-hot vectors: an event, the event before it, and what to
    predict. L0H0 looks one back and copies the event there into the second; L1H0 looks for events
    whose predecessor is the current event, and copies them into the third. L1H0 rests otherwise.
    """
    d_vocab = d_head = 12
    config = DecoderConfig(d_vocab, 2, d_model=3 * d_vocab, n_heads=2, d_head=d_head, window=16)
    arrays = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    event, before, after = (slice(i * d_vocab, (i + 1) * d_vocab) for i in range(3))
    one = np.eye(d_vocab)
    arrays["W_E"][:, event] = one
    arrays["W_U"][after] = one
    arrays["rho"][0, 0, 1] = 60.0
    arrays["W_V"][0, 0, event] = one
    arrays["W_O"][0, 0, :, before] = one
    arrays["W_Q"][1, 0, event] = 60.0 * np.sqrt(d_head) * one
    arrays["W_K"][1, 0, before] = one
    arrays["sink"][1, 0] = 30.0
    arrays["W_V"][1, 0, event] = one
    arrays["W_O"][1, 0, :, after] = 12.0 * one
    return Weights(**arrays)
