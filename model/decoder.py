"""The decoder in torch: at most two attention-only layers, for training.

The only file of `model` that imports torch; what it computes is written down in weights.py, and the
scorer computes the same without torch.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .config import DecoderConfig
from .weights import Weights


class Attention(nn.Module):
    """One layer of heads that move information: softmax over a window of events and a sink."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        width, heads, head = config.d_model, config.n_heads, config.d_head
        scale = 0.8 / math.sqrt(width)
        self.W_Q = nn.Parameter(torch.randn(heads, width, head) * scale)
        self.W_K = nn.Parameter(torch.randn(heads, width, head) * scale)
        self.W_V = nn.Parameter(torch.randn(heads, width, head) * scale)
        # Small at first, so that the direct path is learned before the heads build on it.
        small = 0.8 / math.sqrt(heads * head) / math.sqrt(2 * config.n_layers)
        self.W_O = nn.Parameter(torch.randn(heads, head, width) * small)
        self.b_Q = nn.Parameter(torch.zeros(heads, head))
        self.b_K = nn.Parameter(torch.zeros(heads, head))
        self.b_V = nn.Parameter(torch.zeros(heads, head))
        self.b_O = nn.Parameter(torch.zeros(width))
        self.rho = nn.Parameter(torch.zeros(heads, config.window))
        self.sink = nn.Parameter(torch.zeros(heads))

    def forward(
        self, resid: Float[Tensor, "batch position d_model"]
    ) -> Float[Tensor, "batch position d_model"]:
        """What the heads add to the residual stream."""
        q = _project(resid, self.W_Q, self.b_Q)
        k = _project(resid, self.W_K, self.b_K)
        v = _project(resid, self.W_V, self.b_V)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.config.d_head) + self._bias(resid.shape[1])
        # The sink is one more key: score `sink` whatever the query, value zero.
        sink = self.sink[:, None, None].expand(len(scores), -1, scores.shape[2], 1)
        pattern = torch.cat([scores, sink], dim=3).softmax(dim=3)[..., :-1]
        z = (pattern @ v).transpose(1, 2).flatten(2)
        return z @ self.W_O.flatten(0, 1) + self.b_O

    def _bias(self, length: int) -> Float[Tensor, "head query key"]:
        """rho by distance, −∞ outside the window."""
        position = torch.arange(length, device=self.rho.device)
        distance = position[:, None] - position[None, :]
        seen = (distance >= 0) & (distance < self.config.window)
        bias = self.rho[:, distance.clamp(0, self.config.window - 1)]
        return bias.masked_fill(~seen, -math.inf)


class Decoder(nn.Module):
    """Embed, at most two layers of attention, unembed. No norm, no MLP, no tied weights."""

    def __init__(
        self, config: DecoderConfig, log_unigram: Float[Tensor, " d_vocab"] | None = None
    ) -> None:
        super().__init__()
        self.config = config
        scale = 0.8 / math.sqrt(config.d_model)
        self.W_E = nn.Parameter(torch.randn(config.d_vocab, config.d_model) * scale)
        self.layers = nn.ModuleList(Attention(config) for _ in range(config.n_layers))
        self.W_U = nn.Parameter(torch.randn(config.d_model, config.d_vocab) * scale)
        # Started at the base rates: the residual stream then only says what differs from them.
        start = torch.zeros(config.d_vocab) if log_unigram is None else log_unigram.clone()
        self.b_U = nn.Parameter(start)

    def forward(
        self, tokens: Int[Tensor, "batch position"]
    ) -> Float[Tensor, "batch position d_vocab"]:
        """Logits of the event after each position."""
        resid = self.W_E[tokens]
        for layer in self.layers:
            resid = resid + layer(resid)
        return resid @ self.W_U + self.b_U

    def weights(self) -> Weights:
        """The parameters as NumPy arrays, float32."""
        c = self.config
        layers = list(self.layers)

        def stack(name: str, *shape: int) -> Tensor:
            if not layers:
                return torch.zeros(0, *shape)
            return torch.stack([getattr(layer, name) for layer in layers])

        tensors = {
            "W_E": self.W_E,
            "W_Q": stack("W_Q", c.n_heads, c.d_model, c.d_head),
            "W_K": stack("W_K", c.n_heads, c.d_model, c.d_head),
            "W_V": stack("W_V", c.n_heads, c.d_model, c.d_head),
            "b_Q": stack("b_Q", c.n_heads, c.d_head),
            "b_K": stack("b_K", c.n_heads, c.d_head),
            "b_V": stack("b_V", c.n_heads, c.d_head),
            "W_O": stack("W_O", c.n_heads, c.d_head, c.d_model),
            "b_O": stack("b_O", c.d_model),
            "rho": stack("rho", c.n_heads, c.window),
            "sink": stack("sink", c.n_heads),
            "W_U": self.W_U,
            "b_U": self.b_U,
        }
        return Weights(
            **{
                name: tensor.detach().to("cpu", torch.float32).contiguous().numpy().copy()
                for name, tensor in tensors.items()
            }
        )


def decoder_from(weights: Weights, config: DecoderConfig) -> Decoder:
    """A decoder with these weights: to go on training, and to compare the scorer with."""
    decoder = Decoder(config)
    with torch.no_grad():
        for name in ("W_E", "W_U", "b_U"):
            getattr(decoder, name).copy_(torch.from_numpy(getattr(weights, name)))
        for index, layer in enumerate(decoder.layers):
            for name in ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V", "W_O", "b_O", "rho", "sink"):
                getattr(layer, name).copy_(torch.from_numpy(getattr(weights, name)[index]))
    return decoder


def _project(
    resid: Float[Tensor, "batch position d_model"],
    weight: Float[Tensor, "head d_model d_head"],
    bias: Float[Tensor, "head d_head"],
) -> Float[Tensor, "batch head position d_head"]:
    heads, width, head = weight.shape
    # One matrix product for all heads, then [batch, position, head, d_head].
    flat = resid @ weight.transpose(0, 1).reshape(width, heads * head)
    by_head: Tensor = flat.reshape(*resid.shape[:2], heads, head)
    return by_head.transpose(1, 2) + bias[:, None, :]
