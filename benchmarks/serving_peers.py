"""The same decoder in PyTorch, scoring event by event as one would write it first; and an LSTM.

Each takes one event of each of a batch of streams at a time, so that PyTorch has large matrices to
multiply: a service that had to answer stream by stream would be slower.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from ..model.config import DecoderConfig
from ..model.decoder import Attention, Decoder, decoder_from
from ..model.folder import Model
from .serving_traffic import Recorded
from .training_peers import LSTM

STREAMS = 256  # side by side
_HISTORY = 10  # events that DeepLog looks back on (Du et al. 2017)

Step = Callable[[Int[Tensor, " streams"]], object]  # scores an event of each stream and feeds it


def windowed(model: Model) -> Step:
    """All that the layers look back on once more for every event."""
    c = model.config.decoder
    return _over(decoder_from(model.weights, c), c.n_layers * (c.window - 1) + 1)


def deeplog(model: Model) -> Step:
    """An LSTM of two layers over the last ten events, for every event."""
    return _over(LSTM(model.config.decoder), _HISTORY)


def _over(net: nn.Module, history: int) -> Step:
    window = torch.zeros((STREAMS, history), dtype=torch.int64)

    def step(tokens: Int[Tensor, " streams"]) -> object:
        nonlocal window
        scores = net(window)[:, -1].log_softmax(1).gather(1, tokens[:, None])
        window = torch.cat([window[:, 1:], tokens[:, None]], dim=1)
        return scores

    return step


def incremental(model: Model) -> Step:
    """Keys and values of both layers kept for the window."""
    c = model.config.decoder
    decoder = decoder_from(model.weights, c)
    kept = [torch.zeros((2, STREAMS, c.n_heads, c.window, c.d_head)) for _ in range(c.n_layers)]
    last = torch.zeros(STREAMS, dtype=torch.int64)
    position = 0

    def step(tokens: Int[Tensor, " streams"]) -> object:
        nonlocal last, position
        scores = _next(decoder, c, kept, last, position).log_softmax(1).gather(1, tokens[:, None])
        last, position = tokens, position + 1
        return scores

    return step


def _next(
    decoder: Decoder,
    c: DecoderConfig,
    kept: list[Tensor],
    tokens: Int[Tensor, " streams"],
    position: int,
) -> Float[Tensor, "streams d_vocab"]:
    resid = decoder.W_E[tokens]
    cell = position % c.window
    n = min(position + 1, c.window)
    distance = (cell - torch.arange(n)) % c.window
    for layer, cache in zip(decoder.layers, kept, strict=True):
        assert isinstance(layer, Attention)
        projected = layer.project(resid).view(STREAMS, 3, c.n_heads, c.d_head)
        cache[:, :, :, cell] = projected[:, 1:].transpose(0, 1)
        scores = cache[0, :, :, :n] @ projected[:, 0, :, :, None]
        scores = scores.squeeze(3) + layer.rho[:, distance]
        sink = layer.sink[None, :, None].expand(STREAMS, -1, 1)
        pattern = torch.cat([scores, sink], dim=2).softmax(2)[:, :, None, :n]
        z = (pattern @ cache[1, :, :, :n]).flatten(1)
        resid = resid + linear(z, layer.W_O.flatten(0, 1).T, layer.b_O)
    return linear(resid, decoder.W_U.T, decoder.b_U)


@torch.inference_mode()
def events_per_second(peer: Step, model: Model, source: Recorded, *, steps: int) -> float:
    """Of one turn of `steps` events of each stream, on one thread, once the window is full."""
    torch.set_num_threads(1)
    ids = np.array(model.vocabulary.ids(source.names))[source.ids]
    begin = np.random.default_rng(0).integers(0, len(ids), STREAMS)
    warm = model.config.decoder.window
    took = math.inf
    for at in range(warm + steps):
        if at == warm:
            took = time.perf_counter()
        peer(torch.from_numpy(ids[(begin + at) % len(ids)]))
    return steps * STREAMS / (time.perf_counter() - took)
