"""Held-out windows kept with a model, and what its paths do on them.

A window is a stream's beginning, or a piece from its middle behind <past>, as the decoder would
meet it if the service joined there. It is as long as what a prediction depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import NDArray

from ..model.errors import ModelError
from ..model.vocabulary import PAST
from ..model.weights import Weights
from .activations import run
from .directions import softmax
from .paths import path_names
from .reference import path_outputs

Array = np.ndarray

POSITIONS = 8_000
_CELLS = 4_000_000  # logits that are kept at most, for a large vocabulary of fewer windows
_SHORTEST = 32  # events of a window where a prediction depends on fewer


def draw_windows(
    weights: Weights, sequences: Sequence[Int[Array, " _"]], *, seed: int = 0
) -> dict[str, Array]:
    """Windows of `sequences` as arrays for the model folder, drawn without replacement.

    Sequences are token ids that begin with <start> or <past>; at most `POSITIONS` predictions.
    """
    longest = max(weights.n_layers * (weights.window - 1) + 1, _SHORTEST)
    rng = np.random.default_rng(seed)
    pieces = [
        (number, start)
        for number, sequence in enumerate(sequences)
        for start in range(0, max(len(sequence) - 1, 1), longest)
        if len(sequence) > 1
    ]
    drawn: list[Array] = []
    left = POSITIONS
    for index in rng.permutation(len(pieces)).tolist():
        number, start = pieces[index]
        piece = np.asarray(sequences[number][start : start + longest + 1], dtype=np.int32)[
            : left + 1
        ]
        if start:
            piece[0] = PAST
        drawn.append(piece)
        left -= len(piece) - 1
        if left <= 0:
            break
    return {
        "windows": np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int32),
        "window_lengths": np.array([len(piece) for piece in drawn], dtype=np.int32),
    }


def read_windows(arrays: Mapping[str, NDArray[np.generic]]) -> list[Int[Array, " _"]]:
    """The windows in a model's reference; ModelError if it was trained without keeping any."""
    if "windows" not in arrays:
        raise ModelError(
            "the model folder holds no held-out windows, which a card needs: it was trained by an "
            "earlier version; train again"
        )
    ends = np.cumsum(arrays["window_lengths"].astype(np.int64))
    return np.split(arrays["windows"].astype(np.int64), ends[:-1]) if len(ends) else []


@dataclass(frozen=True)
class Attention:
    """How much of its attention each path gives to an event when that event is there.

    A pair is (event that looks, event looked at): an event looks at those before it, not at itself.
    """

    looking: Int[Array, " pairs"]
    seen: Int[Array, " pairs"]
    times: Float64[Array, " pairs"]  # positions where it could look at such an event
    mean: Float64[Array, "paths pairs"]  # attention to all events of that kind together


@dataclass(frozen=True)
class Sample:
    """The windows at work; a row for every prediction, one window after another."""

    windows: list[Int[Array, " _"]]
    starts: Int[Array, " windows"]  # of each window's rows
    last: Int[Array, " rows"]
    following: Int[Array, " rows"]
    outputs: Float64[Array, "rows paths d_head"]  # what each path read, before W_O
    rest: Float64[Array, "rows paths"]  # share of a path's attention that went to nothing
    logits: Float64[Array, "rows d_vocab"]
    predicted: Float64[Array, "rows d_vocab"]  # their softmax
    attention: Attention


def observe(weights: Weights, windows: Sequence[Int[Array, " _"]]) -> Sample:
    """Run the decoder on the windows, as many as memory allows; `weights` in float64."""
    sizes = np.cumsum([len(window) - 1 for window in windows])
    windows = windows[: max(1, int(np.searchsorted(sizes, _CELLS / weights.d_vocab)))]
    tally = _Tally(weights, windows)
    outputs, rests, logits = [], [], []
    for window in windows:
        activations = run(weights, window[:-1])
        outputs.append(path_outputs(weights, activations))
        logits.append(activations.logits)
        patterns = [layer.pattern for layer in activations.layers]
        if weights.n_layers == 2:
            first, second = patterns
            patterns.append((second[None] @ first[:, None]).reshape(-1, *first.shape[1:]))
        every = np.concatenate([np.zeros((0, *2 * [len(window) - 1])), *patterns])
        # Pattern and sink sum to one, in virtual heads too.
        rests.append(1.0 - every.sum(axis=2).T)
        tally.add(window[:-1], every)
    rows = np.cumsum([0, *(len(window) - 1 for window in windows)])
    together = np.concatenate(logits)
    return Sample(
        windows=list(windows),
        starts=rows[:-1],
        last=np.concatenate([window[:-1] for window in windows]),
        following=np.concatenate([window[1:] for window in windows]),
        outputs=np.concatenate(outputs),
        rest=np.concatenate(rests),
        logits=together,
        predicted=softmax(together),
        attention=tally.attention(),
    )


class _Tally:
    """Sums of attention by pair of events; only pairs that occur have a place."""

    def __init__(self, weights: Weights, windows: Sequence[Int[Array, " _"]]) -> None:
        self._window, self._d_vocab = weights.window, weights.d_vocab
        pairs = [self._present(window[:-1])[2] for window in windows]
        self._keys = np.unique(np.concatenate(pairs)) if pairs else np.zeros(0, dtype=np.int64)
        self._times = np.zeros(len(self._keys))
        self._sums = np.zeros((len(path_names(weights)), len(self._keys)))

    def add(
        self,
        tokens: Int[Array, " positions"],
        patterns: Float64[Array, "paths positions positions"],
    ) -> None:
        kinds, there, keys = self._present(tokens)
        one_hot = (tokens[:, None] == kinds).astype(float)
        # Attention to its own position says what the event itself brings, not what it looks at.
        others = patterns * (1.0 - np.eye(len(tokens)))
        by_kind = one_hot.T @ (others @ one_hot)  # paths, kinds that look, kinds looked at
        times = one_hot.T @ there
        place = np.searchsorted(self._keys, keys)
        seen = times.reshape(-1) > 0.0
        self._times[place] += times.reshape(-1)[seen]
        self._sums[:, place] += by_kind.reshape(len(patterns), times.size)[:, seen]

    def attention(self) -> Attention:
        looking, seen = np.divmod(self._keys, self._d_vocab)
        return Attention(looking, seen, self._times, self._sums / np.maximum(self._times, 1.0))

    def _present(self, tokens: Int[Array, " positions"]) -> tuple[Array, Array, Array]:
        """Kinds of events, whether each is there to be looked at, and the keys of all pairs."""
        kinds = np.unique(tokens)
        distance = np.arange(len(tokens))[:, None] - np.arange(len(tokens))
        visible = (distance > 0) & (distance < self._window)
        one_hot = (tokens[:, None] == kinds).astype(float)
        there = ((visible @ one_hot) > 0.0).astype(float)
        pairs = (kinds[:, None] * self._d_vocab + kinds).reshape(-1)
        return kinds, there, pairs[(one_hot.T @ there).reshape(-1) > 0.0]
