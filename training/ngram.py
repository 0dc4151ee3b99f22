"""An n-gram baseline: interpolated Witten-Bell smoothing, beginning and end included.

p_k(v | c) = (n(c, v) + T(c)·p_{k−1}(v | c')) / (n(c) + T(c)), where n counts training events, T(c)
is the number of different events seen after the context c, c' is c without its oldest event, and
p_0 = 1 / d_vocab (Witten and Bell, 1991). Every use of a decoder has to beat this.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64
from numpy.typing import NDArray

from ..model.vocabulary import Vocabulary
from .batches import Sequences
from .held_out import Stream, tokens_of

LONGEST = 6
MOST_TOKENS = 1 << 22  # of distinct sequences that are counted
_AT_ONCE = 4096  # streams that are scored at a time
Codes = Int64[np.ndarray, "_"]  # as many as there are different ones, by order


@dataclass(frozen=True)
class NGram:
    """Counts by order: sorted codes, mixed-radix integers, of (context, event) and of contexts."""

    order: int
    d_vocab: int
    pairs: tuple[tuple[Codes, Codes], ...]  # by order: codes, counts
    contexts: tuple[tuple[Codes, Codes, Codes], ...]  # by order: codes, counts, kinds of events

    def surprisal(self, sequence: Int[np.ndarray, " tokens"]) -> Float64[np.ndarray, " events"]:
        """−log p of tokens[1:] in nats, each given the order − 1 tokens before it."""
        return self.surprisals([sequence])[0]

    def surprisals(self, sequences: Sequence[NDArray[np.integer]]) -> list[NDArray[np.float64]]:
        """The same for many sequences at once."""
        tokens, offsets = join(sequences)
        p = np.full(len(tokens), 1.0 / self.d_vocab)
        for k in range(1, self.order + 1):
            context = context_codes(tokens, offsets, k - 1, self.d_vocab)
            pair = context * self.d_vocab + tokens
            n_pair = _look_up(pair, *self.pairs[k - 1])
            codes, totals, kinds = self.contexts[k - 1]
            n, t = _look_up(context, codes, totals), _look_up(context, codes, kinds)
            seen = n > 0
            p[seen] = (n_pair[seen] + t[seen] * p[seen]) / (n[seen] + t[seen])
        surprisal = -np.log(p)
        return [surprisal[start + 1 : stop] for start, stop in itertools.pairwise(offsets)]

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """As named arrays, for the model folder."""
        arrays = {"sizes": np.array([self.order, self.d_vocab])}
        for k in range(self.order):
            arrays[f"pair_{k}"], arrays[f"pair_count_{k}"] = self.pairs[k]
            names = (f"context_{k}", f"context_count_{k}", f"context_kinds_{k}")
            arrays.update(zip(names, self.contexts[k], strict=True))
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> NGram:
        order, d_vocab = (int(size) for size in arrays["sizes"])

        def get(name: str) -> NDArray[np.int64]:
            return arrays[name].astype(np.int64)

        return cls(
            order,
            d_vocab,
            tuple((get(f"pair_{k}"), get(f"pair_count_{k}")) for k in range(order)),
            tuple(
                (get(f"context_{k}"), get(f"context_count_{k}"), get(f"context_kinds_{k}"))
                for k in range(order)
            ),
        )


def fit_ngram(
    sequences: Sequence[NDArray[np.integer]],
    counts: Int[np.ndarray, " sequences"],
    *,
    order: int,
    d_vocab: int,
) -> NGram:
    """Count all n-grams up to `order`; a sequence stands for `counts` equal ones."""
    tokens, offsets = join(sequences)
    weight = np.repeat(counts, np.diff(offsets)).astype(np.int64)
    event = np.ones(len(tokens), dtype=bool)
    event[offsets[:-1]] = False  # a beginning is a context, never an event
    pairs, contexts = [], []
    for k in range(1, order + 1):
        context = context_codes(tokens, offsets, k - 1, d_vocab)
        pair, total = _count((context * d_vocab + tokens)[event], weight[event])
        pairs.append((pair, total))
        codes, first = np.unique(pair // d_vocab, return_index=True)
        ends = np.append(first[1:], len(pair))
        contexts.append((codes, np.add.reduceat(total, first), (ends - first).astype(np.int64)))
    return NGram(order, d_vocab, tuple(pairs), tuple(contexts))


def choose_ngram(
    train: Sequences, held_out: Sequences, *, d_vocab: int, longest: int = LONGEST
) -> tuple[NGram, float]:
    """The order up to `longest` with the least held-out loss, and that loss in nats per event.

    Of a large corpus it sees a sample, of about as many events as a decoder's training takes.
    """
    train, held_out = (part.sample(MOST_TOKENS, seed=0) for part in (train, held_out))
    longest = min(longest, int(62 / np.log2(max(d_vocab, 2))))
    weight = np.repeat(held_out.counts, [len(tokens) - 1 for tokens in held_out.tokens])
    # Counts of a low order are among those of a higher one.
    full = fit_ngram(train.tokens, train.counts, order=longest, d_vocab=d_vocab)
    candidates = []
    for order in range(2, longest + 1):
        ngram = NGram(order, d_vocab, full.pairs[:order], full.contexts[:order])
        surprisal = np.concatenate(ngram.surprisals(held_out.tokens))
        candidates.append((float(np.average(surprisal, weights=weight)), ngram))
    loss, best = min(candidates, key=lambda candidate: candidate[0])
    return best, loss


def join(
    sequences: Sequence[NDArray[np.integer]],
) -> tuple[Int64[np.ndarray, " tokens"], Int64[np.ndarray, " sequences_and_one"]]:
    """All sequences as one array, and where each begins and the last ends."""
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in sequences])]).astype(np.int64)
    return np.concatenate([*sequences, np.zeros(0, np.int64)]).astype(np.int64), offsets


def context_codes(
    tokens: NDArray[np.int64], offsets: NDArray[np.int64], size: int, d_vocab: int
) -> Int64[np.ndarray, " tokens"]:
    """Code of the `size` tokens before each; before a sequence's beginning there is only itself."""
    code = np.zeros(len(tokens), np.int64)
    start = np.repeat(offsets[:-1], np.diff(offsets))
    at = np.arange(len(tokens))
    for back in range(size, 0, -1):
        code = code * d_vocab + tokens[np.maximum(at - back, start)]
    return code


def _count(
    codes: NDArray[np.int64], weight: NDArray[np.int64]
) -> tuple[Int64[np.ndarray, " codes"], Int64[np.ndarray, " codes"]]:
    unique, inverse = np.unique(codes, return_inverse=True)
    total = np.bincount(inverse, weights=weight.astype(np.float64), minlength=len(unique))
    return unique, total.astype(np.int64)


def _look_up(
    codes: NDArray[np.int64], keys: NDArray[np.int64], values: NDArray[np.int64]
) -> Int64[np.ndarray, " tokens"]:
    """values[i] where keys[i] = code, else 0."""
    at = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
    found: NDArray[np.int64] = np.where(keys[at] == codes, values[at], 0)
    return found


def worst_surprisal(
    ngram: NGram, vocabulary: Vocabulary, streams: Sequence[Stream]
) -> Float64[np.ndarray, " streams"]:
    """The n-gram's score of a stream: its largest surprisal, the end's included where seen."""
    scores = []
    for first in range(0, len(streams), _AT_ONCE):
        part = streams[first : first + _AT_ONCE]
        sequences = [tokens_of(vocabulary, stream) for stream in part]
        scores += [surprisal.max() for surprisal in ngram.surprisals(sequences)]
    return np.array(scores, np.float64)
