"""The scorer by itself, on one core: its speed, what the machine could do, and its memory."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import psutil

from ..model.detector import Detector
from ..model.folder import Model
from .serving_traffic import Piece, Recorded, traffic

SIZE = 1024  # events of a piece
LIVE_BYTES = 2 << 30  # enough for the live caches of 100,000 streams
_MATRIX = 1024
_READ_BYTES = 1 << 28
_REST = 1_000_000  # streams
_STEPS = 3_000_000


def feed(detector: Detector, pieces: Sequence[Piece]) -> tuple[float, int]:
    """Seconds that it takes to score these pieces, and to end the streams that fell silent; and how
    many of the events came in a context that came before.
    """
    began = time.perf_counter()
    known = sum(detector.observe(piece.stream, piece.name, piece.time).known for piece in pieces)
    detector.end_idle(float(pieces[-1].time[-1]))
    return time.perf_counter() - began, known


@dataclass(frozen=True)
class Turns:
    """Events a second of each turn, and the share of them that was known."""

    speeds: list[float]
    known: list[float]


def alone(
    source: Recorded, model: Model, live: int, *, turns: int, events: int, known_bytes: int
) -> Turns:
    """The scorer by itself, once the streams are under way."""
    detector = Detector(model, live_bytes=LIVE_BYTES, known_bytes=known_bytes)
    idle = model.config.streams.idle_seconds
    coming = traffic(source, live, SIZE, idle_seconds=idle, seed=0)
    rounds = model.config.decoder.window + 2
    left = -(-rounds * live // SIZE)
    while left > 0:
        feed(detector, list(islice(coming, min(left, events // SIZE))))
        left -= events // SIZE
    speeds, shares = [], []
    for _ in range(turns):
        pieces = list(islice(coming, events // SIZE))
        seconds, known = feed(detector, pieces)
        speeds.append(len(pieces) * SIZE / seconds)
        shares.append(known / (len(pieces) * SIZE))
    return Turns(speeds, shares)


def multiply_rate() -> float:
    """Multiplications and additions a second, in pairs, of a large float32 product on one core."""
    a = np.ones((_MATRIX, _MATRIX), np.float32)
    return _MATRIX**3 / min(_timed(lambda: a @ a) for _ in range(5))


def read_rate() -> float:
    """Bytes a second that one core reads in order from memory."""
    data = np.ones(_READ_BYTES // 8, np.int64)
    return _READ_BYTES / min(_timed(data.sum) for _ in range(5))


def times_one(turns: int) -> list[float]:
    """How much more two processes compute at once than one alone; 2 for two whole cores.

    Two virtual processors may be one core's threads, or somebody else may use the other.
    """
    found = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_count, [1, 1], chunksize=1)  # both have started
        for _ in range(turns):
            alone = pool.apply(_count, (_STEPS,))
            found.append(2.0 * alone / max(pool.map(_count, [_STEPS, _STEPS], chunksize=1)))
    return found


def _count(steps: int) -> float:
    """Seconds for so many steps of a loop in Python."""
    began, total = time.perf_counter(), 0
    for i in range(steps):
        total += i * i
    return time.perf_counter() - began


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def floor_seconds(model: Model, *, live: int, multiplies: float, reads: float) -> float:
    """Least time of an event with a full window on one core: its arithmetic, or its memory.

    Multiplications of layer 0's values, of both matrices, of layer 1's scores and values; bytes of
    layer 1's keys and values, where the live streams are more than caches hold.
    """
    c = model.config.decoder
    heads = c.n_heads * c.d_head
    pairs = 3 * c.window * heads + heads * (3 * heads + 2 * c.d_vocab)
    size = 2 * 2 * c.window * heads
    in_memory = live * size > _READ_BYTES
    return max(pairs / multiplies, size / reads if in_memory else 0.0)


def rest_megabytes(model: Model) -> float:
    """Memory that a million streams at rest add to a process."""
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    # No findings: they would take most of the time, and nothing of what stays.
    detector = Detector(model, max_streams=_REST, live_bytes=0, limits=False)
    names = list(model.vocabulary.names[3:])
    for at in range(0, _REST, 4096):
        keys = [f"stream-{number:07d}" for number in range(at, min(at + 4096, _REST))]
        for turn in range(3):
            name = [names[(number + turn) % len(names)] for number in range(len(keys))]
            detector.observe(keys, name, np.full(len(keys), 1.8e9 + turn))
    gc.collect()
    return (process.memory_info().rss - before) / 1e6
