"""Token sequences → crops → batches of similar lengths; equal sequences counted, not repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from ..model.vocabulary import END, NEW, PAST

LONGEST = 192  # tokens of one crop; longer streams are cut at random places
_REPEATS = 16  # equal streams that one row of a batch stands for, at the most
_CROP_SHARE = 0.15  # rows joined in the middle, so that the model knows `<past>`
_HEAVIEST = 1.5  # weight of a batch against the mean, at the most
_MASK_SHARE = 0.005  # input events shown as `<new>`, so that it knows what follows one


@dataclass(frozen=True)
class Sequences:
    """Distinct token sequences and how many streams each stands for."""

    tokens: list[NDArray[np.int32]]
    counts: Int64[np.ndarray, " sequences"]

    @classmethod
    def of(cls, sequences: Sequence[NDArray[np.int32]]) -> Sequences:
        """Count equal sequences instead of repeating them."""
        counts: dict[bytes, int] = {}
        for sequence in sequences:
            key = sequence.astype(np.int32).tobytes()
            counts[key] = counts.get(key, 0) + 1
        tokens = [np.frombuffer(key, dtype=np.int32) for key in counts]
        return cls(tokens, np.array(list(counts.values()), dtype=np.int64))

    @property
    def events(self) -> int:
        """Events of all streams, ends included."""
        return int(sum(c * (len(t) - 1) for t, c in zip(self.tokens, self.counts, strict=True)))


@dataclass(frozen=True)
class Batch:
    """What goes in, what comes next, and how many streams each row stands for (0 for padding)."""

    inputs: Int64[np.ndarray, "batch position"]
    targets: Int64[np.ndarray, "batch position"]
    weight: Float32[np.ndarray, "batch position"]
    scale: float  # what the sum of the weighted losses is divided by


def epoch(sequences: Sequences, rng: np.random.Generator, *, batch_tokens: int) -> Iterator[Batch]:
    """All sequences once, cut and joined in the middle at random, in random batches.

    All batches have one scale, their mean weight: divided by its own weight, a batch of short and
    frequent streams would count no more than one of long and rare ones. And none is much heavier
    than the mean, so that no single step has to do what many should.
    """
    crops = list(_crops(sequences, rng))
    order = sorted(range(len(crops)), key=lambda i: (len(crops[i][0]), i))
    weights = [(len(tokens) - 1) * count for tokens, count in crops]
    total = sum(weights)
    heaviest = _HEAVIEST * total / max(1.0, sum(len(t) for t, _ in crops) / batch_tokens)
    groups: list[list[int]] = []
    weight = 0.0
    for index in order:
        width = len(crops[index][0])
        weight += weights[index]
        if not groups or (len(groups[-1]) + 1) * width > batch_tokens or weight > heaviest:
            groups.append([])
            weight = weights[index]
        groups[-1].append(index)
    for group in rng.permutation(len(groups)).tolist():
        yield _batch([crops[index] for index in groups[group]], rng, total / len(groups))


def held_out(sequences: Sequences, *, batch_tokens: int) -> Iterator[Batch]:
    """All sequences as they are, long ones in pieces; nothing is drawn at random."""
    pieces: list[tuple[NDArray[np.int32], float]] = []
    for tokens, count in zip(sequences.tokens, sequences.counts.tolist(), strict=True):
        for start in range(0, max(1, len(tokens) - 1), LONGEST - 1):
            piece = tokens[start : start + LONGEST].copy()
            if start:
                piece[0] = PAST
            pieces.append((piece, float(count)))
    pieces.sort(key=lambda piece: len(piece[0]))
    while pieces:
        rows = max(1, batch_tokens // len(pieces[-1][0]))
        yield _batch(pieces[-rows:], None, None)
        del pieces[-rows:]


def _crops(
    sequences: Sequences, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int32], float]]:
    for tokens, count in zip(sequences.tokens, sequences.counts.tolist(), strict=True):
        copies = -(-count // _REPEATS)
        for _ in range(copies):
            for crop in _cut(tokens, rng):
                yield crop, count / copies


def _cut(tokens: NDArray[np.int32], rng: np.random.Generator) -> Iterator[NDArray[np.int32]]:
    """One stream as it is or joined in the middle; a long one in pieces from a random place on."""
    n = len(tokens)
    if n <= LONGEST:
        starts = [0]
        if n > 3 and rng.random() < _CROP_SHARE:
            starts = [int(rng.integers(1, n - 2))]
    else:
        first = int(rng.integers(0, LONGEST - 1))
        starts = (
            [0, *range(first, n - 2, LONGEST - 1)] if first else list(range(0, n - 2, LONGEST - 1))
        )
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        # The token at `start` gives way to `<past>`: what came before is not known to this crop.
        crop = tokens[start : min(stop + 1, start + LONGEST)].copy()
        if start:
            crop[0] = PAST
        if len(crop) > 1:
            yield crop


def _batch(
    rows: list[tuple[NDArray[np.int32], float]],
    rng: np.random.Generator | None,
    scale: float | None,
) -> Batch:
    width = max(len(tokens) for tokens, _ in rows)
    padded = np.full((len(rows), width), END, dtype=np.int64)
    weight = np.zeros((len(rows), width - 1), dtype=np.float32)
    for row, (tokens, count) in enumerate(rows):
        padded[row, : len(tokens)] = tokens
        weight[row, : len(tokens) - 1] = count
    inputs = padded[:, :-1].copy()
    if rng is not None:
        shown = rng.random(inputs.shape) < _MASK_SHARE
        shown[:, 0] = False
        inputs[shown] = NEW
    return Batch(inputs, padded[:, 1:], weight, scale or float(weight.sum()))
