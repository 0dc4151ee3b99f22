"""Plain PyTorch training loops of the same size, as one would write them first.

All streams one by one, those that are equal too, in random batches that are padded to their longest
stream, AdamW as it comes. Long streams are cut as ours are, for without that the transformer's
attention would take most of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from ..model.config import DecoderConfig
from ..training.batches import LONGEST, Sequences
from ..training.loop import LoopConfig

_IGNORED = -100  # target of padding


class Transformer(nn.Module):
    """`nn.TransformerEncoder` under a causal mask, its feed-forward part d_model wide."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width = config.d_model
        self.embedding = nn.Embedding(config.d_vocab, width)
        self.position = nn.Embedding(LONGEST, width)
        layer = nn.TransformerEncoderLayer(
            width, config.n_heads, dim_feedforward=width, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.n_layers)
        self.unembedding = nn.Linear(width, config.d_vocab)

    def forward(self, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position v"]:
        """Logits of the event after each position."""
        length = tokens.shape[1]
        resid = self.embedding(tokens) + self.position.weight[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        logits: Tensor = self.unembedding(self.encoder(resid, mask=mask, is_causal=True))
        return logits


class LSTM(nn.Module):
    """`nn.LSTM` with as many layers and units as the decoder has layers and dimensions."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width = config.d_model
        self.embedding = nn.Embedding(config.d_vocab, width)
        self.lstm = nn.LSTM(width, width, num_layers=config.n_layers, batch_first=True)
        self.unembedding = nn.Linear(width, config.d_vocab)

    def forward(self, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position v"]:
        """Logits of the event after each position."""
        states, _ = self.lstm(self.embedding(tokens))
        logits: Tensor = self.unembedding(states)
        return logits


PEERS: dict[str, Callable[[DecoderConfig], nn.Module]] = {
    "torch_transformer": Transformer,
    "torch_lstm": LSTM,
}


@dataclass(frozen=True)
class Pass:
    """One pass over a corpus: the time that it took, and the events that were computed in it."""

    seconds: float
    events: int


def every_stream(sequences: Sequences) -> list[Tensor]:
    """The streams one by one, long ones in pieces."""
    return [
        torch.from_numpy(tokens[start : start + LONGEST].astype("int64"))
        for tokens, count in zip(sequences.tokens, sequences.counts.tolist(), strict=True)
        for start in range(0, len(tokens) - 1, LONGEST - 1)
        for _ in range(count)
    ]


def clock(device: str) -> float:
    """Seconds of CPU time; where a GPU computes, of the wall clock once it has done its work."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def plain_pass(
    net: nn.Module, streams: Sequence[Tensor], *, seed: int, device: str = "cpu"
) -> Pass:
    """Train on every stream once, in batches of as many events as ours have, on the average."""
    torch.manual_seed(seed)
    size = sum(map(len, streams)) / len(streams)
    loader: DataLoader[Tensor] = DataLoader(
        streams,  # type: ignore[arg-type]  # a list does for a data set
        batch_size=max(1, round(LoopConfig.batch_tokens / size)),
        shuffle=True,
        collate_fn=_padded,
    )
    net = net.to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    began, events = clock(device), 0
    for inputs, targets in loader:
        events += int((targets != _IGNORED).sum())
        logits = net(inputs.to(device)).flatten(0, 1)
        loss = cross_entropy(logits, targets.to(device).flatten(), ignore_index=_IGNORED)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return Pass(clock(device) - began, events)


def _padded(streams: list[Tensor]) -> tuple[Tensor, Tensor]:
    inputs = pad_sequence([stream[:-1] for stream in streams], batch_first=True)
    targets = pad_sequence(
        [stream[1:] for stream in streams], batch_first=True, padding_value=_IGNORED
    )
    return inputs, targets
