"""The decoder's weights as NumPy arrays, under TransformerLens's names.

Row vectors: resid_0 = W_E[token]; in layer l and head h q = x W_Q + b_Q, k = x W_K + b_K,
v = x W_V + b_V; score[t, s] = q_t·k_s / √d_head + rho[t − s] for 0 ≤ t − s < window, and one more
key, the sink, has score `sink` and value 0; pattern = softmax over sources and sink;
x ← x + Σ_h (Σ_s pattern[t, s] v_s) W_O + b_O; logits = x W_U + b_U.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike

from .config import DecoderConfig

Array = np.ndarray


@dataclass(frozen=True)
class Weights:
    """All the parameters of a decoder of 0, 1 or 2 attention-only layers."""

    W_E: Float[Array, "d_vocab d_model"]
    W_Q: Float[Array, "n_layers n_heads d_model d_head"]
    W_K: Float[Array, "n_layers n_heads d_model d_head"]
    W_V: Float[Array, "n_layers n_heads d_model d_head"]
    b_Q: Float[Array, "n_layers n_heads d_head"]
    b_K: Float[Array, "n_layers n_heads d_head"]
    b_V: Float[Array, "n_layers n_heads d_head"]
    W_O: Float[Array, "n_layers n_heads d_head d_model"]
    b_O: Float[Array, "n_layers d_model"]
    rho: Float[Array, "n_layers n_heads window"]  # relative position bias, index = distance
    sink: Float[Array, "n_layers n_heads"]
    W_U: Float[Array, "d_model d_vocab"]
    b_U: Float[Array, " d_vocab"]

    @property
    def n_layers(self) -> int:
        return int(self.W_Q.shape[0])

    @property
    def n_heads(self) -> int:
        return int(self.W_Q.shape[1])

    @property
    def d_head(self) -> int:
        return int(self.W_Q.shape[3])

    @property
    def d_model(self) -> int:
        return int(self.W_E.shape[1])

    @property
    def d_vocab(self) -> int:
        return int(self.W_E.shape[0])

    @property
    def window(self) -> int:
        return int(self.rho.shape[2])

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, not copied."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def astype(self, dtype: DTypeLike) -> Weights:
        """The same weights in another precision, contiguous."""
        return Weights(
            **{name: np.ascontiguousarray(a, dtype=dtype) for name, a in self.arrays().items()}
        )


def shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """The shape that each array must have for this configuration."""
    c = config
    project = (c.n_layers, c.n_heads, c.d_model, c.d_head)
    return {
        "W_E": (c.d_vocab, c.d_model),
        "W_Q": project,
        "W_K": project,
        "W_V": project,
        "b_Q": (c.n_layers, c.n_heads, c.d_head),
        "b_K": (c.n_layers, c.n_heads, c.d_head),
        "b_V": (c.n_layers, c.n_heads, c.d_head),
        "W_O": (c.n_layers, c.n_heads, c.d_head, c.d_model),
        "b_O": (c.n_layers, c.d_model),
        "rho": (c.n_layers, c.n_heads, c.window),
        "sink": (c.n_layers, c.n_heads),
        "W_U": (c.d_model, c.d_vocab),
        "b_U": (c.d_vocab,),
    }


def random_weights(config: DecoderConfig, *, seed: int, scale: float = 0.3) -> Weights:
    """Normal weights of standard deviation `scale`, float32; for tests and control experiments."""
    rng = np.random.default_rng(seed)
    return Weights(
        **{
            name: rng.normal(0.0, scale, shape).astype(np.float32)
            for name, shape in shapes(config).items()
        }
    )
