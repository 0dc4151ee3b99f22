"""The training loop: batch → loss → step → held-out loss → keep the best; resumes if killed."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax
from tqdm import tqdm

from ..model.decoder import Decoder, decoder_from
from ..model.vocabulary import NEW
from ..model.weights import Weights
from .batches import Batch, Sequences, epoch, held_out
from .team import add_gradients, leads, share, total
from .watch import Watch, worth_a_look

_KEEP = 0.99  # of the averaged weights at each step
_HELD_TOKENS = 1 << 17  # that the held-out loss is taken on, some 25 times


@dataclass(frozen=True)
class LoopConfig:
    """How a decoder is fitted."""

    seed: int = 0
    epochs: int = 60
    least_steps: int = 300
    most_steps: int = 3000
    stop_at: int | None = None  # with no held-out streams: the step to stop at
    batch_tokens: int = 1536  # small: many noisy steps generalise better than few large ones
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    patience: int = 6  # evaluations without improvement
    device: str = "cpu"


@dataclass
class Progress:
    """What the loop went through: held-out loss in nats per event, by step."""

    step: int = 0
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_step: int = 0
    best_loss: float = math.inf
    tokens: int = 0
    seconds: float = 0.0
    stages: list[dict[str, Any]] = field(default_factory=list)  # if it was watched


def fit_decoder(
    decoder: Decoder,
    train: Sequences,
    held: Sequences,
    config: LoopConfig,
    *,
    new_mass: float,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
    title: str = "decoder",
    quiet: bool = False,
) -> tuple[Weights, Progress]:
    """Fit `decoder` and return the averaged weights with the least held-out loss, or the last ones.

    `new_mass`: the share of probability that predictions keep for `<new>`, by Good and Turing's
    estimate of what is still unseen. `checkpoint`: a file written at every evaluation, from which a
    killed run goes on if data and configuration are the same. `watch` looks at the averaged weights
    at the beginning, at some steps, and at those that are returned.
    """
    decoder = decoder.to(config.device)
    held = held.sample(_HELD_TOKENS, seed=config.seed)
    averaged = copy.deepcopy(decoder)
    optimizer = _optimizer(decoder, config)
    # No more batches are counted than matter: a large corpus has many.
    enough = math.ceil(config.most_steps / config.epochs)
    first = islice(epoch(train, _rng(config, 0), batch_tokens=config.batch_tokens), enough)
    steps = min(max(config.epochs * sum(1 for _ in first), config.least_steps), config.most_steps)
    last = min(steps, config.stop_at or steps)
    every = max(20, steps // 25)
    progress, best = Progress(), decoder.weights()
    fingerprint = _fingerprint(decoder, train, held, config)
    saved = _read(checkpoint, fingerprint)
    if saved is not None:
        decoder.load_state_dict(saved["decoder"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        progress = Progress(**saved["progress"])
        kept = Decoder(decoder.config)
        kept.load_state_dict(saved["best"])
        best = kept.weights()
    if watch and not progress.step:
        progress.stages.append(watch.stage(0, best))
    batches = _batches(train, config, skip=progress.step)
    bar = tqdm(total=last, initial=progress.step, desc=title, unit="step", disable=quiet)
    while progress.step < last and _stale(progress) < config.patience:
        began = time.perf_counter()
        batch = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(progress.step, steps)
        loss = batch_loss(decoder, share(batch), new_mass)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        add_gradients(decoder)
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        progress.step += 1
        _average(averaged, decoder, progress.step)
        progress.tokens += int(np.count_nonzero(batch.weight))
        progress.seconds += time.perf_counter() - began
        bar.update()
        if watch and worth_a_look(progress.step):
            progress.stages.append(watch.stage(progress.step, averaged.weights()))
        if progress.step % every == 0 or progress.step == last:
            value = held_out_loss(averaged, held, config) if held.tokens else math.nan
            progress.steps.append(progress.step)
            progress.losses.append(value)
            if not value >= progress.best_loss:  # or nothing is held out
                progress.best_loss, progress.best_step = value, progress.step
                best = averaged.weights()
            if held.tokens:
                bar.set_postfix_str(f"held-out {value:.4f} nats/event")
            _write(checkpoint, fingerprint, decoder, averaged, optimizer, progress, best)
    bar.close()
    if watch:
        before = [stage for stage in progress.stages if stage["step"] < progress.best_step]
        progress.stages = [*before, watch.stage(progress.best_step, best)]
    return best, progress


def batch_loss(decoder: Decoder, batch: Batch, new_mass: float) -> Float[Tensor, ""]:
    """Weighted mean of −(1 − ε) log p(event) − ε log p(<new>), with ε = `new_mass`; nats.

    The mean over a batch of typical weight: see `Batch.scale`.
    """
    device = decoder.b_U.device
    weight = torch.from_numpy(batch.weight).to(device)
    # Half the numbers on a GPU; on a CPU bfloat16 is slower than float32.
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = decoder(torch.from_numpy(batch.inputs).to(device))
    log_p = log_softmax(logits.float(), dim=-1)
    hit = log_p.gather(-1, torch.from_numpy(batch.targets).to(device)[..., None])[..., 0]
    loss = -(1.0 - new_mass) * hit - new_mass * log_p[..., NEW]
    return (loss * weight).sum() / batch.scale


def held_out_loss(decoder: Decoder, sequences: Sequences, config: LoopConfig) -> float:
    """Mean surprisal of held-out events, ends included, in nats."""
    loss, weight = torch.zeros((), dtype=torch.float64, device=decoder.b_U.device), 0.0
    with torch.no_grad():
        for batch in held_out(sequences, batch_tokens=config.batch_tokens):
            loss += batch_loss(decoder, share(batch), 0.0) * batch.scale
            weight += batch.scale
    return float(total(loss)) / weight


def _optimizer(decoder: Decoder, config: LoopConfig) -> torch.optim.Optimizer:
    # Base rates, position curves and sinks are not to be pulled to zero.
    free = ("b_U", "rho", "sink")
    groups: list[dict[str, Any]] = [
        {"params": [p for n, p in decoder.named_parameters() if n.rsplit(".")[-1] not in free]},
        {
            "params": [p for n, p in decoder.named_parameters() if n.rsplit(".")[-1] in free],
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
        fused=True,
    )


def _average(averaged: Decoder, decoder: Decoder, step: int) -> None:
    """Exponential moving average of the weights over some hundred steps, fewer at first."""
    keep = min(_KEEP, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.parameters()), list(decoder.parameters()), 1.0 - keep)


def _schedule(step: int, total: int) -> float:
    """Linear warm-up over a twentieth of the steps, then a cosine down to a fiftieth."""
    warm = max(1, total // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.49 * (1.0 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _stale(progress: Progress) -> int:
    """Evaluations since the best one."""
    return sum(1 for step in progress.steps if step > progress.best_step)


def _rng(config: LoopConfig, number: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, number])


def _batches(train: Sequences, config: LoopConfig, *, skip: int) -> Iterator[Batch]:
    """Batches of epoch after epoch; `skip` are passed over: a resumed run goes on in step."""
    number = 0
    while True:
        for batch in epoch(train, _rng(config, number), batch_tokens=config.batch_tokens):
            if skip > 0:
                skip -= 1
                continue
            yield batch
        number += 1


def _fingerprint(decoder: Decoder, train: Sequences, held: Sequences, config: LoopConfig) -> str:
    """What a checkpoint must have in common with a run to be gone on from."""
    # Each of several processes has a device of its own, and all must go on from the same step.
    settings = asdict(replace(config, device=""))
    digest = hashlib.sha256(json.dumps([asdict(decoder.config), settings]).encode())
    for sequences in (train, held):
        digest.update(sequences.counts.tobytes())
        for tokens in sequences.tokens:
            digest.update(tokens.tobytes())
    return digest.hexdigest()


def _write(
    checkpoint: Path | None,
    fingerprint: str,
    decoder: Decoder,
    averaged: Decoder,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: Weights,
) -> None:
    if checkpoint is None or not leads():
        return
    state = {
        "fingerprint": fingerprint,
        "decoder": decoder.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        "best": decoder_from(best, decoder.config).state_dict(),
    }
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_name(f"{checkpoint.name}.partial")
    torch.save(state, partial)
    partial.replace(checkpoint)


def _read(checkpoint: Path | None, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint's state if it belongs to this run; a damaged one is the same as none."""
    if checkpoint is None or not checkpoint.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError):
        return None
    return state if state.get("fingerprint") == fingerprint else None
