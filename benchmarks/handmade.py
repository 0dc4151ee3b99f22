"""A network whose mechanism is written by hand, so that the right explanation is known exactly.

The residual stream has room for three one-hot vectors: an event, the one before it, and the one to
predict. L0H0 looks one back and writes what it finds there into the second; L1H0 looks for the
event that came after the current one's like, and writes it into the third with `WORTH` nats.
"""

from __future__ import annotations

import numpy as np

from ..interpret.reference import Reference, fit_reference, read_reference
from ..model.config import DecoderConfig
from ..model.decoder import decoder_from
from ..model.vocabulary import END, SPECIAL, START
from ..model.weights import Weights, shapes
from .attributions.question import Explained, Question

WORTH = 12.0
_EVENTS = 24
_SHARP = 60.0  # scores that leave attention nowhere else to go


def induction() -> Explained:
    """The network, with a reference taken on streams of random events."""
    size = len(SPECIAL) + _EVENTS
    config = DecoderConfig(size, 2, d_model=3 * size, n_heads=2, d_head=size, window=32)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    event, before, next_ = (slice(part * size, (part + 1) * size) for part in range(3))
    same = np.eye(size, dtype=np.float32)
    arrays["W_E"][:, event] = same
    arrays["rho"][0, 0, 1] = _SHARP
    arrays["W_V"][0, 0, event] = arrays["W_V"][1, 0, event] = same
    arrays["W_O"][0, 0, :, before] = same
    arrays["W_Q"][1, 0, event] = _SHARP * np.sqrt(size) * same
    arrays["W_K"][1, 0, before] = same
    arrays["sink"][1, 0] = _SHARP / 2
    arrays["W_O"][1, 0, :, next_] = WORTH * same
    arrays["W_U"][next_] = same
    weights = Weights(**arrays)
    exact = weights.astype(np.float64)
    return Explained(exact, decoder_from(weights, config).requires_grad_(False), _usual(exact))


def broken_repetitions(model: Explained, count: int) -> list[tuple[Question, int]]:
    """Windows in which `a b` came and `a` comes again, followed by another event; and where b is.

    All that speaks for b is that it came: WORTH nats.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        *events, wrong = (len(SPECIAL) + rng.permutation(_EVENTS)).tolist()
        first = int(rng.integers(0, len(events) - 4))
        tokens = np.array([START, *events, events[first]])
        found.append((Question(model, tokens, wrong), first + 2))
    return found


def _usual(weights: Weights) -> Reference:
    rng = np.random.default_rng(0)
    streams = [
        np.array([START, *(len(SPECIAL) + rng.integers(0, _EVENTS, 30)), END]) for _ in range(200)
    ]
    return read_reference(fit_reference(weights, streams), weights)
