"""DeepLog (Du et al., 2017): an LSTM of two layers with 64 units that predicts from 10 events.

The paper's rule calls a stream anomalous when an event of it is not among the 9 most likely ones;
graded, a stream has its largest surprisal. The end is scored as an event, as for all methods here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...training.batches import Sequences
from ...training.ngram import join
from .baseline import Scores, Tokens, Training, largest

WINDOW = 10
UNITS = 64
TOP = 9
_BATCH = 256
_MOST_STEPS = 2000
_EVERY = 100  # steps between looks at the held-out loss
_PATIENCE = 3  # looks without improvement
_AT_ONCE = 8192  # windows scored at a time
_HELD = 20_000  # windows that the held-out loss is measured on, at the most


class LSTM(nn.Module):
    """Window of events → logits of the next one."""

    def __init__(self, d_vocab: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(d_vocab, UNITS)
        self.lstm = nn.LSTM(UNITS, UNITS, num_layers=2, batch_first=True)
        self.unembedding = nn.Linear(UNITS, d_vocab)

    def forward(self, windows: Int[Tensor, "batch window"]) -> Float[Tensor, "batch d_vocab"]:
        """Logits after the last event of each window."""
        states, _ = self.lstm(self.embedding(windows))
        logits: Tensor = self.unembedding(states[:, -1])
        return logits


class DeepLog:
    """The network with the least held-out loss on the way."""

    def __init__(self, training: Training) -> None:
        torch.manual_seed(training.seed)
        torch.set_num_threads(1)
        rng = np.random.default_rng(training.seed)
        self._device = training.device
        self._net = LSTM(training.d_vocab).to(self._device)
        windows, weights = weighted_windows(training.fit)
        upto = np.cumsum(weights)
        held, held_weights = weighted_windows(training.held)
        kept = rng.permutation(len(held))[:_HELD]
        held, held_weights = held[kept], held_weights[kept]
        optimizer = torch.optim.Adam(self._net.parameters())
        best, best_step, state = np.inf, 0, self._net.state_dict()
        for step in range(1, _MOST_STEPS + 1):
            # Drawn as often as streams have them: the paper's passes over all windows.
            drawn = np.searchsorted(upto, rng.integers(0, upto[-1], _BATCH), side="right")
            batch = torch.from_numpy(windows[drawn]).to(self._device)
            loss = cross_entropy(self._net(batch[:, :-1]), batch[:, -1])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            if step % _EVERY == 0:
                value = float(np.average(self._judge(held)[0], weights=held_weights))
                if value < best:
                    best, best_step = value, step
                    state = {k: v.clone() for k, v in self._net.state_dict().items()}
                elif step - best_step >= _PATIENCE * _EVERY:
                    break
        self._net.load_state_dict(state)
        self.setting = f"{best_step} steps"

    def score(self, sequences: Sequence[Tokens]) -> dict[str, Scores]:
        windows, offsets = windows_of(sequences)
        different, inverse = np.unique(windows, axis=0, return_inverse=True)
        surprisal, rank = (values[inverse] for values in self._judge(different))
        cuts = list(itertools.pairwise(offsets))
        return {
            "deeplog": largest([surprisal[start:stop] for start, stop in cuts]),
            "deeplog_top9": largest([rank[start:stop] for start, stop in cuts], rule=TOP - 1),
        }

    def _judge(
        self, windows: Int64[np.ndarray, "windows tokens"]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Surprisal of each window's last event, and how many events were more likely."""
        surprisal, rank = [np.zeros(0)], [np.zeros(0)]
        with torch.no_grad():
            for first in range(0, len(windows), _AT_ONCE):
                part = torch.from_numpy(windows[first : first + _AT_ONCE]).to(self._device)
                log_p = torch.log_softmax(self._net(part[:, :-1]), dim=-1)
                hit = log_p.gather(-1, part[:, -1:])
                surprisal.append(-hit[:, 0].cpu().numpy().astype(np.float64))
                rank.append((log_p > hit).sum(dim=-1).cpu().numpy().astype(np.float64))
        return np.concatenate(surprisal), np.concatenate(rank)


def windows_of(
    sequences: Sequence[Tokens],
) -> tuple[Int64[np.ndarray, "events window_and_event"], Int64[np.ndarray, " sequences_and_one"]]:
    """Each event with the 10 tokens before it; before the first there is only itself, repeated."""
    tokens, offsets = join(sequences)
    start = np.repeat(offsets[:-1], np.diff(offsets))
    at = np.arange(len(tokens))
    columns = [tokens[np.maximum(at - back, start)] for back in range(WINDOW, -1, -1)]
    events = np.stack(columns, axis=1)[at > start]
    return events, offsets - np.arange(len(offsets))


def weighted_windows(
    sequences: Sequences,
) -> tuple[Int64[np.ndarray, "windows tokens"], Int64[np.ndarray, " windows"]]:
    """The windows of all sequences, and how many streams have each."""
    windows, offsets = windows_of(sequences.tokens)
    return windows, np.repeat(sequences.counts, np.diff(offsets))
