"""Compiles the kernels, so that the first events of a service do not wait for it."""

from __future__ import annotations

import math

import numpy as np

from .alert import DETECTORS
from .calibration import Calibration, Tail, Threshold
from .config import DecoderConfig, ModelConfig, StreamConfig
from .detector import Detector
from .event import EventConfig, EventParser
from .folder import Model
from .templates import Templates
from .vocabulary import SPECIAL, Vocabulary
from .weights import random_weights


def warm() -> None:
    """Read a line in both ways, score a few events with a model of random weights, and have another
    go on with its streams; the result stays in Numba's cache.
    """
    for time in (None, "iso@0"):
        EventParser(EventConfig(stream_key="key", time=time), Templates(())).parse(["key"])
    vocabulary = Vocabulary((*SPECIAL, "event"), (1,) * 5)
    config = DecoderConfig(d_vocab=5, d_model=4, n_heads=1, d_head=4, window=4)
    tail = Tail((0.0,), (0.0,), start=0.0, base=0.0, scale=1.0, shape=0.0)
    threshold = Threshold(
        dict.fromkeys(DETECTORS, tail), dict.fromkeys(DETECTORS, 1.0), -math.inf, 1
    )
    model = Model(
        sha256="",
        config=ModelConfig(config, EventConfig("sequences"), StreamConfig(idle_seconds=1.0)),
        weights=random_weights(config, seed=0),
        vocabulary=vocabulary,
        templates=Templates(()),
        calibration=Calibration(0.0, 0.0, "", 1.0, threshold, threshold),
        count_vectors=np.ones((1, 5), np.float32),
        held={},
        reference={},
        baseline={},
        summary={},
    )
    detector = Detector(model, max_streams=2)
    detector.observe(["a", "a"], ["event", None], np.array([0.0, 1.0]))
    detector.end(["a"])
    detector.end_idle(2.0)
    Detector(model, max_streams=2).take_over(detector, np.arange(5, dtype=np.uint16))
