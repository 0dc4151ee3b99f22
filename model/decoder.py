"""The decoder in torch: at most two attention-only layers, for training.

The only file of `model` that imports torch; what it computes is written down in weights.py, and the
scorer computes the same without torch.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, pad

from .config import DecoderConfig
from .weights import Weights

_BLOCK = 64  # queries taken at once on a CPU; measured: 32 and 192 are slower, 192 by half


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

    def project(
        self, resid: Float[Tensor, "*places d_model"]
    ) -> Float[Tensor, "*places query_key_value"]:
        """Queries, keys and values of all heads side by side, from one matrix product."""
        scale = 1.0 / math.sqrt(self.config.d_head)
        weight = torch.cat([self.W_Q * scale, self.W_K, self.W_V]).transpose(1, 2).flatten(0, 1)
        return linear(resid, weight, torch.cat([self.b_Q * scale, self.b_K, self.b_V]).flatten())

    def attend(
        self, projected: Float[Tensor, "batch position query_key_value"]
    ) -> Float[Tensor, "batch position d_model"]:
        """What the heads add to the residual stream.

        A block of queries at a time, with the keys that its windows reach: in a long stream most
        pairs of events are further apart than a window. A GPU rather computes all of them at once.
        """
        c = self.config
        batch, length, _ = projected.shape
        by_head = projected.reshape(batch, length, 3, c.n_heads, c.d_head)
        q, k, v = by_head.permute(2, 0, 3, 1, 4).contiguous()
        z = []
        block = _BLOCK if projected.device.type == "cpu" else length
        for start in range(0, length, block):
            stop, first = min(start + block, length), max(0, start - c.window + 1)
            # The sink is one more key: all zeros, so its bias is its score; value zero.
            keys, values = (pad(x[:, :, first:stop], (0, 0, 0, 1)) for x in (k, v))
            scores = q[:, :, start:stop] @ keys.transpose(2, 3) + self._bias(start, first, stop)
            z.append(scores.softmax(dim=3) @ values)
        return linear(
            torch.cat(z, dim=2).transpose(1, 2).flatten(2), self.W_O.flatten(0, 1).T, self.b_O
        )

    def _bias(self, start: int, first: int, stop: int) -> Float[Tensor, "head query key_and_sink"]:
        """rho by distance, −∞ outside the window; the sink's score last.

        Queries lie at `start` to `stop`, keys at `first` to `stop`.
        """
        position = torch.arange(first, stop, device=self.rho.device)
        distance = position[start - first :, None] - position
        seen = (distance >= 0) & (distance < self.config.window)
        bias = self.rho[:, distance.clamp(0, self.config.window - 1)].masked_fill(~seen, -math.inf)
        return torch.cat([bias, self.sink[:, None, None].expand(-1, stop - start, 1)], dim=2)


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
        resid = embedding(tokens, self.W_E)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Attention)
            # To the first layer an event is the same wherever it stands: one product for each kind.
            projected = (
                layer.project(resid) if number else embedding(tokens, layer.project(self.W_E))
            )
            resid = resid + layer.attend(projected)
        return linear(resid, self.W_U.T, self.b_U)

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
