"""The configuration of a model: decoder, events, streams; and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .event import EventConfig


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of the attention-only decoder."""

    d_vocab: int
    n_layers: int = 2
    d_model: int = 64
    n_heads: int = 4
    d_head: int = 16
    window: int = 64  # events that a head can look back on, the current one included

    def __post_init__(self) -> None:
        if self.n_layers not in (0, 1, 2):
            raise ValueError(f"n_layers is {self.n_layers}; a decoder has 0, 1 or 2 layers")
        for name in ("d_vocab", "d_model", "n_heads", "d_head", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True)
class StreamConfig:
    """When a stream begins and ends. Times in seconds of event time."""

    endless: bool = False  # no end; scored in blocks of time
    idle_seconds: float = 3600.0  # silence after which a stream has ended
    block_seconds: float = 0.0  # endless streams: length of a block
    # Events that streams begin with, and the silence before one after which it must begin a stream:
    # 0 for those that (nearly) never come later in one, None where times do not tell.
    openings: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.idle_seconds >= 0.0:
            raise ValueError(f"idle_seconds is {self.idle_seconds}; it must be at least 0")
        if self.endless and not self.block_seconds > 0.0:
            raise ValueError(
                f"block_seconds is {self.block_seconds}; of endless streams it must be above 0"
            )


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to turn lines into tokens, and tokens into scores."""

    decoder: DecoderConfig
    events: EventConfig
    streams: StreamConfig

    def to_json(self) -> dict[str, Any]:
        return {
            "decoder": asdict(self.decoder),
            "events": self.events.to_json(),
            "streams": asdict(self.streams),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ModelConfig:
        return cls(
            DecoderConfig(**value["decoder"]),
            EventConfig.from_json(value["events"]),
            StreamConfig(**value["streams"]),
        )


def preset(name: str, d_vocab: int) -> DecoderConfig:
    """The decoder called `tiny` (the default) or `small`; d_model grows with the vocabulary.

    A width below the vocabulary's size did not learn in measurements up to about 128 events, past
    which a width of 128 was enough.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}, expected one of {', '.join(PRESETS)}")
    sizes = PRESETS[name]
    width = sizes["d_model"]
    while width < min(d_vocab, 128):
        width *= 2
    return DecoderConfig(d_vocab=d_vocab, **{**sizes, "d_model": width})


PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"n_layers": 2, "d_model": 64, "n_heads": 4, "d_head": 16, "window": 64},
    "small": {"n_layers": 2, "d_model": 128, "n_heads": 8, "d_head": 16, "window": 96},
}
