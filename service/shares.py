"""Which paths move the surprise of what came last, beside the held-out windows of the model."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle

import numpy as np
from jaxtyping import Int

from ..interpret.reference import read_reference
from ..interpret.sample import draw_windows, observe, read_windows
from ..interpret.work import share_of_work
from ..model.detector import Detector
from ..model.folder import Model
from ..model.scorer import FEW_KNOWN_BYTES, FEW_LIVE_BYTES
from ..model.vocabulary import END, PAST, START
from .batch import Batch
from .engine import Engine
from .feeding import joined
from .metrics import OfModel
from .reading import Reader
from .served import Served

logger = logging.getLogger("offscript")

Window = Int[np.ndarray, " _"]

_SECONDS = 60.0  # between two looks, each of which takes about a second
_EVENTS = 2_000  # that are looked at, at most …
_FEWEST = 500  # … and at least, before anything is said
_MOST = 8192  # events that they are drawn from


async def show_shares(engine: Engine) -> None:
    """Show the shares of what came last, again and again, off the threads that score.

    One model at a time, in turn: however many are served, all looks take no more.
    """
    for served in cycle(engine.served.values()):
        await asyncio.sleep(_SECONDS)
        try:
            await asyncio.to_thread(_show, served)
        except Exception:
            # What is only looked at must not trouble the service.
            logger.exception("the shares of the paths are not known")


def _show(served: Served) -> None:
    """Both sides by the model that serves now; a side with too few events shows nothing."""
    model, metrics = served.model, served.metrics
    recent = path_shares(model, came_last(model, served.recent.batches()))
    kept = path_shares(model, held_out(model))
    _set(metrics.path_share, recent)
    _set(metrics.path_share_held_out, kept)
    # A reload clears both after it has changed the model: asked last, whichever comes first.
    if served.model is not model:
        metrics.path_share.clear()
        metrics.path_share_held_out.clear()


def path_shares(model: Model, windows: Sequence[Window]) -> dict[str, float]:
    """e_k / Σ_j e_j, with e_k the mean |Δ| by which path k moves the surprise of an event.

    Beyond what is usual after the last event, to either side: the card's `effect`. Of the first
    windows only, as many as the time allows; none if they are too few.
    """
    ends = np.cumsum([len(window) - 1 for window in windows])
    if not len(ends) or ends[-1] < _FEWEST:
        return {}
    sample = windows[: int(np.searchsorted(ends, _EVENTS)) + 1]
    weights = model.weights.astype(np.float64)
    reference = read_reference(model.reference, weights)
    works = share_of_work(weights, reference, observe(weights, sample))
    total = sum(work.effect for work in works)
    return {work.name: work.effect / total for work in works if total}


def held_out(model: Model) -> list[Window]:
    """The windows kept with a model, without the ends of streams, which do not come as events."""
    if "windows" not in model.reference:
        return []
    windows = read_windows(model.reference)
    cut = [window[:-1] if window[-1] == END else window for window in windows]
    return [window for window in cut if len(window) > 1]


def came_last(model: Model, batches: Sequence[Batch]) -> list[Window]:
    """Windows of what lies in these batches, met as if nothing had been before them."""
    if not batches:
        return []
    reader = Reader(model)
    rows = joined([reader.read(batch) for batch in batches])
    stream, name = rows.stream[-_MOST:], rows.name[-_MOST:]
    # It knows whether a stream's first event here is one that begins streams.
    detector = Detector(
        model,
        limits=False,
        max_streams=_MOST,
        live_bytes=FEW_LIVE_BYTES,
        known_bytes=FEW_KNOWN_BYTES,
    )
    started = frozenset().union(*(batch.started for batch in batches))
    detector.observe(stream, name, rows.time[-_MOST:], started=started)
    tokens: dict[str, list[int]] = defaultdict(list)
    for key, token in zip(stream, model.vocabulary.tokens(name).tolist(), strict=True):
        tokens[key].append(token)
    sequences = [
        np.array([PAST if late else START, *events])
        for late, events in zip(detector.joined(list(tokens)), tokens.values(), strict=True)
    ]
    return read_windows(draw_windows(model.weights, sequences))


def _set(gauge: OfModel, shares: dict[str, float]) -> None:
    if not shares:
        gauge.clear()
    for path, share in shares.items():
        gauge.labels(path).set(share)
