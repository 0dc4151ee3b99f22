"""What a training is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from ..model.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """What to learn from and where to put the model; None is found out from the data."""

    logs: tuple[Path, ...]
    out: Path
    stream_key: str | None = None  # regular expression or JSON field; "auto" proposes one
    format: str | None = None  # text, json or sequences
    event: tuple[str, ...] = ()  # JSON fields that make the event's name
    message: str | None = None  # JSON field with a raw line
    time: str | None = None  # JSON field of the time
    masks: tuple[tuple[str, str], ...] = ()  # (regular expression, replacement)
    endless: bool = False  # streams never end, though they have a key
    complete: bool = False  # every stream begins and ends within these logs
    idle_seconds: float | None = None
    exclude: frozenset[str] = frozenset()  # streams to leave out
    normal: frozenset[str] = frozenset()  # streams known to be, however far outside they lie
    keep_outliers: bool = False  # streams far outside of what the others do are normal, too
    split: str = "train"  # of records that say which split they belong to
    budget: str | None = None
    newest: bool = False  # calibrate on the newest streams alone
    preset: str = "tiny"
    layers: int | None = None
    compare_layers: bool = False  # fit a decoder of one layer too, and say what each layer buys
    steps: int | None = None  # of training, at the most
    seed: int = 0
    device: str = "cpu"
    quiet: bool = False

    def __post_init__(self) -> None:
        idle = self.idle_seconds
        if idle is not None and not 0.0 < idle < math.inf:
            raise InputError(f"the idle time is {idle}; it must be a number of seconds above 0")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"the number of steps is {self.steps}; it must be at least 1")
        if self.compare_layers and self.layers in (0, 1):
            raise InputError(
                f"layers are compared up to 2, and {self.layers} is asked for; leave out --layers "
                "or --compare-layers"
            )
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}; it must not be negative")
        if self.endless and (self.complete or idle is not None):
            raise InputError("endless streams have no end: leave out the idle time and --complete")
        try:
            torch.zeros(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # what torch raises depends on its build
            raise InputError(
                f"torch cannot compute on {self.device!r}: {str(error).splitlines()[0]}"
            ) from error
