"""What a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    endless: bool = False  # streams never end, though they have a key
    complete: bool = False  # every stream begins and ends within these logs
    idle_seconds: float | None = None
    exclude: frozenset[str] = frozenset()  # streams to leave out
    split: str = "train"  # of records that say which split they belong to
    budget: str | None = None
    newest: bool = False  # calibrate on the newest streams instead of on ones drawn at random
    preset: str = "tiny"
    layers: int | None = None
    steps: int | None = None  # of training, at the most
    seed: int = 0
    device: str = "cpu"
    quiet: bool = False
