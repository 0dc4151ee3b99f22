"""The loop learns, reproduces with its seed, and goes on where it was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offscript.model.config import DecoderConfig
from offscript.model.decoder import Decoder
from offscript.model.vocabulary import END, NEW, START
from offscript.model.weights import Weights
from offscript.training.batches import Batch, Sequences
from offscript.training.loop import LoopConfig, Progress, batch_loss, fit_decoder

# Sixty steps of a small decoder: under a second.
QUICK = LoopConfig(epochs=10**6, most_steps=60, batch_tokens=512, patience=99)
SMALL = DecoderConfig(d_vocab=9, d_model=16, n_heads=2, d_head=8, window=8)


def streams(seed: int) -> Sequences:
    """4 or 5 at the beginning decides between 6 and 7 three events later."""
    rng = np.random.default_rng(seed)
    first = rng.integers(4, 6, 400)
    return Sequences.of([np.array([START, f, 8, 8, f + 2, END], np.int32) for f in first])


def fitted(config: LoopConfig, checkpoint: Path | None = None) -> tuple[Weights, Progress]:
    torch.manual_seed(config.seed)
    return fit_decoder(
        Decoder(SMALL),
        streams(0),
        streams(1),
        config,
        new_mass=1e-3,
        checkpoint=checkpoint,
        quiet=True,
    )


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_two_layers_learn_what_an_event_far_back_decides(device: str) -> None:
    _, progress = fitted(replace(QUICK, most_steps=400, device=device))

    # One event in five is a fair coin; all others follow.
    assert progress.best_loss == pytest.approx(np.log(2) / 5, abs=0.03)


def test_with_nothing_held_out_it_stops_at_the_step_asked_for() -> None:
    nothing = Sequences.of([])
    torch.manual_seed(0)

    _, progress = fit_decoder(
        Decoder(SMALL),
        streams(0),
        nothing,
        replace(QUICK, stop_at=45),
        new_mass=1e-3,
        quiet=True,
    )

    assert (progress.step, progress.best_step) == (45, 45)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    one, _ = fitted(QUICK)
    two, _ = fitted(QUICK)
    other, _ = fitted(replace(QUICK, seed=1))

    np.testing.assert_array_equal(one.W_E, two.W_E)
    assert not np.array_equal(one.W_E, other.W_E)


class KilledError(Exception):
    """Stands for a signal."""


def test_a_killed_run_goes_on_to_the_weights_of_one_that_ran_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through, _ = fitted(QUICK)
    checkpoint = tmp_path / "checkpoint"
    step = torch.optim.AdamW.step
    calls = 0

    def killed_at_50(self: torch.optim.AdamW, closure: None = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 50:
            raise KilledError
        step(self, closure)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", killed_at_50)
        with pytest.raises(KilledError):
            fitted(QUICK, checkpoint)
    assert checkpoint.exists()

    resumed, progress = fitted(QUICK, checkpoint)

    assert progress.step == 60
    np.testing.assert_array_equal(through.W_E, resumed.W_E)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_not_gone_on_from(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    fitted(replace(QUICK, seed=5), checkpoint)
    expected, _ = fitted(QUICK)

    other, _ = fitted(QUICK, checkpoint)
    checkpoint.write_bytes(b"damaged")
    damaged, _ = fitted(QUICK, checkpoint)

    np.testing.assert_array_equal(expected.W_E, other.W_E)
    np.testing.assert_array_equal(expected.W_E, damaged.W_E)


def test_the_loss_leaves_the_good_turing_mass_to_new_events() -> None:
    decoder = Decoder(SMALL)
    batch = Batch(np.array([[START, 4]]), np.array([[4, END]]), np.ones((1, 2), np.float32), 2.0)
    with torch.no_grad():
        log_p = decoder(torch.tensor([[START, 4]])).log_softmax(-1)[0]

        loss = float(batch_loss(decoder, batch, 0.01))

    hit = log_p[0, 4] + log_p[1, END]
    new = log_p[0, NEW] + log_p[1, NEW]
    assert loss == pytest.approx(float(-(0.99 * hit + 0.01 * new) / 2), rel=1e-5)


def test_a_share_without_rows_adds_nothing_to_the_loss_and_to_gradients() -> None:
    decoder = Decoder(SMALL)
    none = np.zeros((0, 5), np.int64)

    loss = batch_loss(decoder, Batch(none, none, np.zeros((0, 5), np.float32), 3.0), 0.01)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    assert float(loss.detach()) == 0.0
    gradients = [parameter.grad for parameter in decoder.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
