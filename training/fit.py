"""Streams → vocabulary → decoder, with the baselines fitted beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from ..model.config import ModelConfig, StreamConfig
from ..model.decoder import Decoder
from ..model.errors import InputError
from ..model.vocabulary import NEW, PAST, SPECIAL, START, Vocabulary
from ..model.weights import Weights
from .batches import Sequences
from .calibrate import Stream, tokens_of
from .config import TrainConfig
from .loop import LoopConfig, fit_decoder
from .ngram import NGram, choose_ngram

_MOST_EVENTS = 1996  # kinds of events in a vocabulary; rarer ones are `<new>`
_MOST_VECTORS = 4096  # count vectors of normal streams that are kept


def learn_vocabulary(fit: Sequence[Stream]) -> tuple[Vocabulary, float]:
    """Event names seen at least twice, and the Good-Turing mass N₁ / N of unseen ones."""
    counts: Counter[str | None] = Counter()
    for stream in fit:
        counts.update(stream.names)
    total = sum(counts.values())
    once = sum(1 for count in counts.values() if count == 1)
    kept = [(n, c) for n, c in counts.most_common() if n is not None and c > 1][:_MOST_EVENTS]
    if not kept:
        raise InputError(
            f"none of {len(counts)} kinds of events came twice; check --stream-key and --event: an "
            "event's name must not hold ids or free text"
        )
    ends = sum(stream.ended for stream in fit)
    begun = sum(stream.started for stream in fit)
    special = (begun, len(fit) - begun, ends, total - sum(count for _, count in kept))
    vocabulary = Vocabulary(
        (*SPECIAL, *(name for name, _ in kept)), (*special, *(count for _, count in kept))
    )
    return vocabulary, max(once, 1) / total


@dataclass(frozen=True)
class Fitted:
    """What was fitted to the first part."""

    config: ModelConfig
    vocabulary: Vocabulary
    weights: Weights
    sequences: Sequences
    ngram: NGram
    losses: dict[str, float]  # held-out, nats per event
    tokens_per_second: float
    steps: int


def fit(
    config: TrainConfig,
    model: ModelConfig,
    vocabulary: Vocabulary,
    new_mass: float,
    parts: tuple[list[Stream], list[Stream], list[Stream]],
    *,
    checkpoint: Path,
    report: Callable[[str], None],
) -> Fitted:
    """The decoder, and beside it the bigram control and the n-gram that it has to beat."""
    train = Sequences.of([tokens_of(vocabulary, stream) for stream in parts[0]])
    held = Sequences.of([tokens_of(vocabulary, stream) for stream in parts[1]])
    report(
        f"vocabulary: {len(vocabulary) - len(SPECIAL)} kinds of events; "
        f"{len(train.tokens):,} distinct streams of {len(parts[0]):,}"
    )
    ngram, ngram_loss = choose_ngram(train, held, d_vocab=len(vocabulary))
    counts = np.array(vocabulary.counts, dtype=np.float64)
    counts[[START, PAST]] = 0.0  # never an outcome
    counts[NEW] = max(counts[NEW], new_mass * counts.sum())
    log_unigram = torch.from_numpy(np.log((counts + 0.1) / counts.sum())).float()
    # Two threads are 1.7 times as fast on an idle machine, and many times slower on a busy one.
    torch.set_num_threads(1)
    losses: dict[str, float] = {}
    settings = LoopConfig(seed=config.seed, device=config.device)
    if config.steps is not None:
        least = min(settings.least_steps, config.steps)
        settings = replace(settings, least_steps=least, most_steps=config.steps)
    torch.manual_seed(config.seed)
    control, progress = fit_decoder(
        Decoder(replace(model.decoder, n_layers=0), log_unigram),
        train,
        held,
        replace(
            settings,
            epochs=12,
            least_steps=min(200, settings.least_steps),
            most_steps=min(1000, settings.most_steps),
        ),
        new_mass=new_mass,
        title="bigram control",
        quiet=config.quiet,
    )
    losses["control"] = progress.best_loss
    if model.decoder.n_layers == 0:
        weights = control
    else:
        torch.manual_seed(config.seed)
        weights, progress = fit_decoder(
            Decoder(model.decoder, log_unigram),
            train,
            held,
            settings,
            new_mass=new_mass,
            checkpoint=checkpoint,
            title="decoder",
            quiet=config.quiet,
        )
    losses |= {"decoder": progress.best_loss, "ngram": ngram_loss}
    report(
        f"held-out loss in nats per event: decoder {losses['decoder']:.4f}, bigram control "
        f"{losses['control']:.4f}, {ngram.order}-gram {ngram_loss:.4f}"
    )
    speed = progress.tokens / max(progress.seconds, 1e-9)
    return Fitted(model, vocabulary, weights, train, ngram, losses, speed, progress.best_step)


def count_vectors(
    vocabulary: Vocabulary, fit: Sequence[Stream], streams: StreamConfig
) -> Float32[np.ndarray, "vectors d_vocab"]:
    """Distinct event counts of whole training streams, the most frequent ones first."""
    seen: Counter[bytes] = Counter()
    if not streams.endless:
        for stream in fit:
            if stream.started and stream.ended:
                ids = vocabulary.ids(stream.names)
                seen[np.bincount(ids, minlength=len(vocabulary)).astype(np.float32).tobytes()] += 1
    rows = [np.frombuffer(key, np.float32) for key, _ in seen.most_common(_MOST_VECTORS)]
    return np.array(rows, np.float32).reshape(-1, len(vocabulary))
