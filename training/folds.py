"""Fit the decoder that is served; where normals are few, also one for each fold, without it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..model.config import StreamConfig
from ..model.event import EventConfig
from ..model.vocabulary import SPECIAL
from .config import TrainConfig
from .counted import counted
from .fit import (
    Baselines,
    Fitted,
    bare_model,
    fit_baselines,
    fit_decoder_to,
    refitted,
)
from .held_out import HeldOut, Stream, all_of, hold_out, units_of, with_learned
from .ngram import NGram, worst_surprisal
from .side_by_side import side_by_side
from .team import alone


@dataclass(frozen=True)
class Data:
    """Streams to fit and to calibrate on; with folds, all are in both."""

    streams: StreamConfig
    fit: list[Stream]
    held: list[Stream]
    folds: tuple[NDArray[np.int64], ...] = ()

    @property
    def calibrating(self) -> list[Stream]:
        """The held-out streams, of endless ones the blocks, in the order of their statistics."""
        if self.folds:
            return [self.held[i] for fold in self.folds for i in fold]
        return units_of(self.held, self.streams)


@dataclass(frozen=True)
class Learned:
    """The decoder to serve, what held-out streams look like to it, and what it has to beat."""

    fitted: Fitted
    fit: list[Stream]
    baselines: Baselines
    loss: float  # held-out, nats per event
    held: HeldOut
    ngram: NGram  # of the order that was chosen, fitted to all of `fit`
    ngram_scores: NDArray[np.float64]  # of held-out streams
    tokens_per_second: float


@dataclass(frozen=True)
class _Seen:
    """Held-out streams through the eyes of a decoder and of an n-gram that did not learn them."""

    held: HeldOut
    ngram_scores: NDArray[np.float64]


@dataclass(frozen=True)
class Fits:
    """The fits of one training: number 0 is of all streams, number i without fold i."""

    config: TrainConfig
    events: EventConfig
    data: Data
    checkpoint: Path

    def parts(self, number: int) -> tuple[list[Stream], list[Stream]]:
        """Streams to fit, and those that are held out from it."""
        data = self.data
        if not number:
            return data.fit, [] if data.folds else data.held
        fold = data.folds[number - 1]
        fit = np.setdiff1d(np.arange(len(data.fit)), fold)
        return [data.fit[i] for i in fit], [data.held[i] for i in fold]

    def fitted(self, number: int, steps: int | None = None) -> Fitted:
        """The decoder; it stops where held-out loss is least, or after `steps`."""
        of = f" without fold {number} of {len(self.data.folds)}" if number else ""
        return fit_decoder_to(
            self.config,
            self.events,
            self.data.streams,
            *self.parts(number),
            steps=steps,
            watched=[] if number else self.data.held,
            checkpoint=numbered(self.checkpoint, number),
            title=f"decoder{of}",
        )

    def seen(self, number: int, fitted: Fitted, ngram: NGram) -> _Seen:
        """What was held out, as the decoder and an n-gram see it."""
        fit, held = self.parts(number)
        return _Seen(
            hold_out(bare_model(fitted, fit), held, self.config.seed),
            worst_surprisal(refitted(ngram, fitted), fitted.vocabulary, held),
        )

    def later(self, steps: int, ngram: NGram, number: int) -> tuple[Fitted, _Seen | None]:
        """Both of the above for one of the fits that follow the first; alone on its core."""
        quiet = replace(self, config=replace(self.config, quiet=True))
        fitted = quiet.fitted(number, steps)
        return fitted, quiet.seen(number, fitted, ngram) if number else None


def learn(fits: Fits, report: Callable[[str], None]) -> Learned:
    """Fit the decoder, and before it, where there are folds, one for each that has not seen it.

    The first fit finds out how many steps to take, and is what the baselines are compared with.
    """
    data, config = fits.data, fits.config
    number = 1 if data.folds else 0
    first = fits.fitted(number)
    fit, held = fits.parts(number)
    report(_vocabulary(first, len(fit)))
    baselines = fit_baselines(config, first, held)
    report(_losses(first, baselines))
    served, seen = first, [fits.seen(number, first, baselines.ngram)]
    if data.folds:
        later = partial(fits.later, first.steps, baselines.ngram)
        jobs = [*range(2, len(data.folds) + 1), 0]
        others = (
            side_by_side(later, jobs, title="other folds", quiet=config.quiet)
            if alone()
            else [later(job) for job in jobs]
        )
        served = others[-1][0]
        seen += [one for _, one in others if one is not None]
    held_out = all_of([one.held for one in seen])
    if data.folds:
        folds = [[data.held[i] for i in fold] for fold in data.folds]
        held_out = with_learned(held_out, bare_model(served, data.fit), folds, config.seed)
    return Learned(
        served,
        data.fit,
        baselines,
        first.loss,
        held_out,
        refitted(baselines.ngram, served),
        np.concatenate([one.ngram_scores for one in seen]),
        first.tokens / max(first.seconds, 1e-9),
    )


def checkpoint_of(config: TrainConfig) -> Path:
    """What a training that was interrupted goes on from, beside the model; see `numbered`."""
    return config.out.with_name(f".{config.out.name}.checkpoint")


def checkpoints_of(config: TrainConfig) -> list[Path]:
    """Those of all its fits that are there."""
    ours = re.compile(rf"{re.escape(checkpoint_of(config).name)}\d*(\.partial)?")
    return [path for path in config.out.parent.iterdir() if ours.fullmatch(path.name)]


def numbered(checkpoint: Path, fold: int) -> Path:
    """The checkpoint of the decoder without a fold; 0: of the one that is served."""
    return checkpoint.with_name(f"{checkpoint.name}{fold or ''}")


def _vocabulary(fitted: Fitted, streams: int) -> str:
    kinds, distinct = len(fitted.vocabulary) - len(SPECIAL), len(fitted.sequences.tokens)
    return (
        f"vocabulary: {counted(kinds, 'kind')} of events; "
        f"{counted(distinct, 'distinct stream')} of {streams:,}"
    )


def _losses(fitted: Fitted, baselines: Baselines) -> str:
    one = baselines.one_layer_loss
    one_layer = "" if one is None else f"one layer {one:.4f}, "
    return (
        f"held-out loss in nats per event: decoder {fitted.loss:.4f}, {one_layer}bigram control "
        f"{baselines.control_loss:.4f}, {baselines.ngram.order}-gram {baselines.ngram_loss:.4f}"
    )
