"""Several processes that fit one decoder together: each takes its share of every batch.

`torchrun` starts them and says in the environment how many there are. All of them read the logs and
take the same steps with the same weights: gradients are added up over the rows that each has seen,
so the fit is that of one process, to rounding. What is written and said is the first one's affair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, distributed, nn

from .batches import Batch


@contextmanager
def team(device: str) -> Iterator[str]:
    """Meet the others, if there are any; gives the device that this process is to use."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield device
        return
    on_gpu = device == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def alone() -> bool:
    """Whether this is the only process."""
    return not distributed.is_initialized()


def leads() -> bool:
    """Whether this process writes and reports, while the others are there and when they are not."""
    return int(os.environ.get("RANK", "0")) == 0


def share(batch: Batch) -> Batch:
    """The rows that this process computes; the scale stays that of the whole batch."""
    if alone():
        return batch
    rows = slice(distributed.get_rank(), None, distributed.get_world_size())
    return replace(
        batch, inputs=batch.inputs[rows], targets=batch.targets[rows], weight=batch.weight[rows]
    )


def total(value: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if not alone():
        distributed.all_reduce(value)
    return value


def add_gradients(module: nn.Module) -> None:
    """Each gradient becomes the sum over all processes; one message for all of them."""
    if alone():
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = total(torch.cat([gradient.flatten() for gradient in gradients]))
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
