"""How far the surprise of events has moved from what it was when the model was made."""

from __future__ import annotations

import math
import threading

import numpy as np
from jaxtyping import Float, Float64

from ..interpret.sample import read_windows
from ..model.detector import Detector
from ..model.folder import Model
from ..model.scorer import FEW_KNOWN_BYTES, FEW_LIVE_BYTES
from ..model.vocabulary import END, NEW, START

_BINS = 10
_STEP = 0.1  # nats; edges are multiples of it, as finer differences are no other habit
_FEWEST = 1_000  # events on either side before anything is said
_MEMORY = 100_000  # events after which one counts for 1 / e


def stability_index(
    expected: Float64[np.ndarray, " bins"], observed: Float64[np.ndarray, " bins"]
) -> float:
    """PSI = Σ_i (q_i − p_i) log(q_i / p_i) of two histograms, in nats; 0 if they are alike.

    p and q are the shares of the bins, with half a count more in each so that none is zero. By
    custom .1 is a shift to look into, .25 a large one (Siddiqi, Credit Risk Scorecards, 2006).
    """
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (expected, observed))
    return float(np.sum((q - p) * np.log(q / p)))


def bin_edges(surprisal: Float[np.ndarray, " events"]) -> Float64[np.ndarray, " edges"]:
    """Edges of bins that hold about a tenth of the events each; fewer where they pile up.

    Each is moved up to the next multiple of `_STEP`: the tenths of a log that always goes the same
    way lie at 1e-5 nats, inside what piles up there, and would tell the service's longer contexts
    from the windows' as a large shift.
    """
    if not len(surprisal):
        return np.zeros(0)
    tenths = np.quantile(surprisal, np.arange(1, _BINS) / _BINS)
    return np.unique(np.maximum(np.ceil(tenths / _STEP), 1.0)) * _STEP


class Drift:
    """Compares the surprisal of served events with that of the held-out windows in the model's
    folder. Any thread may call it.
    """

    def __init__(self, model: Model) -> None:
        held = _surprisals(model)
        self._edges = bin_edges(held)
        self._expected = self._histogram(held)
        self._observed = np.zeros(len(self._edges) + 1)
        self._lock = threading.Lock()

    def add(self, surprisal: Float[np.ndarray, " events"]) -> None:
        """Count events that were scored."""
        counts = self._histogram(surprisal)
        with self._lock:
            self._observed *= math.exp(-len(surprisal) / _MEMORY)
            self._observed += counts

    def index(self) -> float:
        """The stability index of the events that came last; nan while there are too few."""
        with self._lock:
            observed = self._observed.copy()
        if min(self._expected.sum(), observed.sum()) < _FEWEST:
            return math.nan
        return stability_index(self._expected, observed)

    def _histogram(self, surprisal: Float[np.ndarray, " events"]) -> Float64[np.ndarray, " bins"]:
        bins = np.searchsorted(self._edges, surprisal, side="right")
        return np.bincount(bins, minlength=len(self._edges) + 1).astype(np.float64)


def _surprisals(model: Model) -> Float[np.ndarray, " events"]:
    """Of the events of the held-out windows, as the service would score them."""
    stream: list[str] = []
    name: list[str | None] = []
    started = set()
    names = model.vocabulary.names
    windows = read_windows(model.reference) if "windows" in model.reference else []
    for number, window in enumerate(windows):
        events = [token for token in window[1:].tolist() if token != END]
        stream += [str(number)] * len(events)
        name += [None if token == NEW else names[token] for token in events]
        if window[0] == START:
            started.add(str(number))
    times = np.full(len(stream), math.nan)
    detector = Detector(model, limits=False, live_bytes=FEW_LIVE_BYTES, known_bytes=FEW_KNOWN_BYTES)
    return detector.observe(stream, name, times, started=started).surprisal
