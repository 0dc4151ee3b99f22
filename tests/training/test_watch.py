"""A decoder is watched while it trains, and trains as if it were not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offscript.model.config import DecoderConfig
from offscript.model.decoder import Decoder
from offscript.model.vocabulary import END, START
from offscript.model.weights import Weights
from offscript.training.batches import Sequences
from offscript.training.loop import LoopConfig, Progress, fit_decoder
from offscript.training.watch import Watch, worth_a_look

SMALL = DecoderConfig(d_vocab=9, d_model=16, n_heads=2, d_head=8, window=8)
QUICK = LoopConfig(epochs=10**6, most_steps=60, batch_tokens=512, patience=99)


def streams(seed: int) -> list[np.ndarray]:
    """4 or 5 at the beginning decides between 6 and 7 three events later."""
    rng = np.random.default_rng(seed)
    return [np.array([START, f, 8, 8, f + 2, END], np.int32) for f in rng.integers(4, 6, 400)]


def fitted(
    watch: Watch | None, checkpoint: Path | None = None, config: LoopConfig = QUICK
) -> tuple[Weights, Progress]:
    torch.manual_seed(0)
    known, held = (Sequences.of(streams(seed)) for seed in (0, 1))
    return fit_decoder(
        Decoder(SMALL),
        known,
        held,
        config,
        new_mass=1e-3,
        checkpoint=checkpoint,
        watch=watch,
        quiet=True,
    )


@pytest.fixture
def watch() -> Watch:
    return Watch.of(Decoder(SMALL).weights(), streams(1), seed=0)


def test_watching_changes_nothing_and_ends_with_what_is_returned(watch: Watch) -> None:
    alone, _ = fitted(None)

    watched, progress = fitted(watch)

    np.testing.assert_array_equal(alone.W_E, watched.W_E)
    steps = [stage["step"] for stage in progress.stages]
    assert steps == [0, 8, 16, 32, progress.best_step]
    losses = [stage["loss"] for stage in progress.stages]
    assert losses[-1] == pytest.approx(watch.loss(watched))
    assert losses[-1] < losses[0]
    assert watch.history(progress.stages, None)["loss_bigram"] is None


def test_a_run_that_goes_on_remembers_what_was_seen_before(watch: Watch, tmp_path: Path) -> None:
    through, _ = fitted(watch, tmp_path / "checkpoint")

    again, progress = fitted(watch, tmp_path / "checkpoint")  # at its last step

    np.testing.assert_array_equal(through.W_E, again.W_E)
    assert [stage["step"] for stage in progress.stages] == [0, 8, 16, 32, progress.best_step]


def test_few_windows_are_watched_and_they_are_of_the_streams_given(watch: Watch) -> None:
    known = {tuple(stream[:-1].tolist()) for stream in streams(1)}

    assert 1_000 <= sum(len(window) - 1 for window in watch.windows) < 1_010
    assert {tuple(window[:-1].tolist()) for window in watch.windows} <= known
    assert [step for step in range(100) if worth_a_look(step)] == [8, 16, 32, 64]
