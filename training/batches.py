"""Token sequences → crops → batches of similar lengths; equal sequences counted, not repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from ..model.vocabulary import END, NEW, PAST
from .store import Column, Pieces

LONGEST = 192  # tokens of one crop; longer streams are cut at random places
_REPEATS = 16  # equal streams that one row of a batch stands for, at the most
_CROP_SHARE = 0.15  # rows joined in the middle, so that the model knows `<past>`
_HEAVIEST = 1.5  # weight of a batch against the mean, at the most
_SORTED = 1 << 20  # tokens that are sorted by length together
_MASK_SHARE = 0.005  # input events shown as `<new>`, so that it knows what follows one


@dataclass(frozen=True)
class Sequences:
    """Distinct token sequences and how many streams each stands for."""

    tokens: Sequence[NDArray[np.int32]]
    counts: Int64[np.ndarray, " sequences"]

    @classmethod
    def of(cls, sequences: Iterable[NDArray[np.int32]], folder: Path | None = None) -> Sequences:
        """Count equal sequences instead of repeating them; the tokens lie in a file in `folder`."""
        index: dict[bytes, int] = {}  # by digest: the sequences themselves may not fit into memory
        counts: list[int] = []
        lengths: list[int] = []
        flat = Column(np.int32, folder)
        for sequence in sequences:
            digest = hashlib.blake2b(sequence.astype(np.int32).tobytes(), digest_size=16).digest()
            at = index.setdefault(digest, len(counts))
            if at < len(counts):
                counts[at] += 1
            else:
                counts.append(1)
                lengths.append(len(sequence))
                flat.append(sequence)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(Pieces(flat.array(), offsets), np.array(counts, dtype=np.int64))

    def sample(self, tokens: int, *, seed: int) -> Sequences:
        """Distinct sequences drawn at random until they have so many tokens, or all of them."""
        lengths = np.array([len(sequence) for sequence in self.tokens])
        if lengths.sum() <= tokens:
            return self
        order = np.random.default_rng(seed).permutation(len(lengths))
        chosen = np.sort(order[: int(np.searchsorted(np.cumsum(lengths[order]), tokens)) + 1])
        return Sequences([self.tokens[i] for i in chosen.tolist()], self.counts[chosen])

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

    A corpus that is larger than what is sorted by length at a time is gone through in a random
    order, in parts.
    """
    lengths = np.array([len(sequence) for sequence in sequences.tokens])
    if lengths.sum() <= _SORTED:
        yield from _batches(sequences, rng, batch_tokens)
        return
    order = rng.permutation(len(lengths))
    part_of = np.cumsum(lengths[order]) // _SORTED
    for part in np.unique(part_of):
        chosen = order[part_of == part]
        some = [sequences.tokens[i] for i in chosen.tolist()]
        yield from _batches(Sequences(some, sequences.counts[chosen]), rng, batch_tokens)


def _batches(sequences: Sequences, rng: np.random.Generator, batch_tokens: int) -> Iterator[Batch]:
    """Random batches of crops of like lengths.

    All have one scale, their mean weight: divided by its own weight, a batch of short and frequent
    streams would count no more than one of long and rare ones. And none is much heavier than the
    mean, so that no single step has to do what many should.
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
