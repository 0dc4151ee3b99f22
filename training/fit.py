"""Streams → vocabulary → decoder, with the baselines fitted beside it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int

from ..model.calibration import Calibration, Threshold
from ..model.config import DecoderConfig, ModelConfig, StreamConfig, preset
from ..model.decoder import Decoder
from ..model.errors import InputError
from ..model.event import EventConfig
from ..model.folder import Model
from ..model.templates import Templates
from ..model.vocabulary import NEW, PAST, SPECIAL, START, Vocabulary
from ..model.weights import Weights
from .batches import Sequences
from .beginning import begin
from .config import TrainConfig
from .held_out import Stream, tokens_of
from .loop import LoopConfig, Progress, fit_decoder
from .ngram import MOST_TOKENS, NGram, choose_ngram, fit_ngram
from .watch import Watch

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
    """One decoder with what it was fitted to."""

    config: ModelConfig
    vocabulary: Vocabulary
    weights: Weights
    sequences: Sequences
    new_mass: float
    loss: float  # held-out, nats per event; nan if none was held out
    steps: int  # at which the held-out loss was least
    tokens: int
    seconds: float
    watch: Watch | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)  # what the watch saw


@dataclass(frozen=True)
class Baselines:
    """What a decoder has to beat on the same held-out streams; losses in nats per event."""

    control: Weights  # of the bigram control, a decoder without layers
    control_loss: float
    one_layer_loss: float | None  # of a decoder of one layer, if it was asked for
    ngram: NGram
    ngram_loss: float


def fit_decoder_to(
    config: TrainConfig,
    events: EventConfig,
    streams: StreamConfig,
    train: Sequence[Stream],
    held: Sequence[Stream] = (),
    *,
    steps: int | None = None,
    watched: Sequence[Stream] = (),
    checkpoint: Path,
    title: str = "decoder",
) -> Fitted:
    """Vocabulary and decoder; stops where the loss of `held` is least, or after `steps`.

    On windows of the streams `watched` it is looked at from inside while it trains.
    """
    vocabulary, new_mass = learn_vocabulary(train)
    size = preset(config.preset, len(vocabulary))
    if config.layers is not None:
        size = replace(size, n_layers=config.layers)
    folder = checkpoint.parent
    sequences, held_out = (
        Sequences.of((tokens_of(vocabulary, stream) for stream in part), folder)
        for part in (train, held)
    )
    watch = _watch(config, size, [tokens_of(vocabulary, stream) for stream in watched])
    weights, progress = _fit_decoder(
        config,
        size,
        vocabulary,
        new_mass,
        sequences,
        held_out,
        replace(_settings(config), stop_at=steps),
        checkpoint=checkpoint,
        watch=watch,
        title=title,
    )
    return Fitted(
        ModelConfig(size, events, streams),
        vocabulary,
        weights,
        sequences,
        new_mass,
        progress.best_loss,
        progress.best_step,
        progress.tokens,
        progress.seconds,
        watch,
        progress.stages,
    )


def fit_baselines(config: TrainConfig, fitted: Fitted, held: Sequence[Stream]) -> Baselines:
    """The bigram control and the n-gram, fitted to and held out from the same streams.

    With `compare_layers` also a decoder of one layer: that the second layer is silenced in one of
    two would say what this decoder does with it, not what could be done without.
    """
    held_out = Sequences.of([tokens_of(fitted.vocabulary, stream) for stream in held])
    ngram, ngram_loss = choose_ngram(fitted.sequences, held_out, d_vocab=len(fitted.vocabulary))
    size, settings = fitted.config.decoder, _settings(config)

    def fewer_layers(n_layers: int, settings: LoopConfig, title: str) -> tuple[Weights, float]:
        weights, progress = _fit_decoder(
            config,
            replace(size, n_layers=n_layers),
            fitted.vocabulary,
            fitted.new_mass,
            fitted.sequences,
            held_out,
            settings,
            title=title,
        )
        return weights, progress.best_loss

    control, control_loss = fitted.weights, fitted.loss
    if size.n_layers:
        control, control_loss = fewer_layers(0, replace(settings, epochs=10), "bigram control")
    one_layer_loss = None
    if config.compare_layers and size.n_layers == 2:
        _, one_layer_loss = fewer_layers(1, settings, "one layer")
    return Baselines(control, control_loss, one_layer_loss, ngram, ngram_loss)


def refitted(ngram: NGram, fitted: Fitted) -> NGram:
    """An n-gram of the same order, of what a decoder was fitted to."""
    sequences = fitted.sequences.sample(MOST_TOKENS, seed=0)
    return fit_ngram(
        sequences.tokens, sequences.counts, order=ngram.order, d_vocab=len(fitted.vocabulary)
    )


def bare_model(fitted: Fitted, train: Sequence[Stream]) -> Model:
    """The model before its calibration: it scores, and alerts on nothing."""
    nothing = Threshold({}, {}, math.inf, 0)
    return Model(
        sha256="",
        config=fitted.config,
        weights=fitted.weights,
        vocabulary=fitted.vocabulary,
        templates=Templates(()),
        calibration=Calibration(0.0, 0.0, "", 0.0, nothing, nothing),
        count_vectors=count_vectors(fitted.vocabulary, train, fitted.config.streams),
        held={},
        reference={},
        baseline={},
        summary={},
    )


def _watch(
    config: TrainConfig, size: DecoderConfig, sequences: Sequence[Int[np.ndarray, " _"]]
) -> Watch | None:
    if not sequences:
        return None
    return Watch.of(Decoder(size).weights(), sequences, seed=config.seed)


def _settings(config: TrainConfig) -> LoopConfig:
    settings = LoopConfig(seed=config.seed, device=config.device)
    if config.steps is None:
        return settings
    least = min(settings.least_steps, config.steps)
    return replace(settings, least_steps=least, most_steps=config.steps)


def _fit_decoder(
    config: TrainConfig,
    size: DecoderConfig,
    vocabulary: Vocabulary,
    new_mass: float,
    train: Sequences,
    held: Sequences,
    settings: LoopConfig,
    *,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
    title: str,
) -> tuple[Weights, Progress]:
    counts = np.array(vocabulary.counts, dtype=np.float64)
    counts[[START, PAST]] = 0.0  # never an outcome
    counts[NEW] = max(counts[NEW], new_mass * counts.sum())
    base = np.log((counts + 0.1) / counts.sum())
    # Two threads are 1.7 times as fast on an idle machine, and many times slower on a busy one.
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    decoder = Decoder(size, torch.from_numpy(base).float())
    begin(decoder, train, base)
    return fit_decoder(
        decoder,
        train,
        held,
        settings,
        new_mass=new_mass,
        checkpoint=checkpoint,
        watch=watch,
        title=title,
        quiet=config.quiet,
    )


def count_vectors(
    vocabulary: Vocabulary, fit: Sequence[Stream], streams: StreamConfig
) -> Float32[np.ndarray, "vectors d_vocab"]:
    """Distinct event counts of whole training streams, the most frequent ones first."""
    whole = [s for s in fit if s.started and s.ended] if not streams.endless else []
    digests = [_digest(_counts(vocabulary, stream)) for stream in whole]
    seen = Counter(digests)  # of digests, as the vectors of many streams may not fit into memory
    wanted = [digest for digest, _ in seen.most_common(_MOST_VECTORS)]
    rank = {digest: row for row, digest in enumerate(wanted)}
    rows = np.zeros((len(wanted), len(vocabulary)), np.float32)
    for stream, digest in zip(whole, digests, strict=True):
        row = rank.pop(digest, None)
        if row is not None:
            rows[row] = _counts(vocabulary, stream)
    return rows


def _counts(vocabulary: Vocabulary, stream: Stream) -> Float32[np.ndarray, " d_vocab"]:
    ids = vocabulary.ids(stream.names)
    return np.bincount(ids, minlength=len(vocabulary)).astype(np.float32)


def _digest(counts: Float32[np.ndarray, " d_vocab"]) -> bytes:
    return hashlib.blake2b(counts.tobytes(), digest_size=16).digest()
