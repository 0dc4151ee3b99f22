"""ONNX Runtime computes the decoder that it is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offscript.benchmarks import serving_onnx, serving_peers
from offscript.model.folder import load_model


@torch.inference_mode()
def test_its_log_probabilities_are_the_decoders(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (serving_onnx, serving_peers):
        monkeypatch.setattr(module, "STREAMS", 3)
    model = load_model(tiny_model)
    events = 2 * model.config.decoder.window
    tokens = np.random.default_rng(0).integers(0, len(model.vocabulary), (events, 3))
    ours, theirs = serving_peers.windowed(model), serving_onnx.windowed(model)

    found = np.array([theirs(torch.from_numpy(row)) for row in tokens])

    expected = np.array([ours(torch.from_numpy(row)) for row in tokens])
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)
