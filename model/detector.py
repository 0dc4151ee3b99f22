"""Events in, findings out: the one entry that every source of events calls.

A detector owns the state of its streams and is driven by one thread. It knows no files, no network
and no store; training calibrates it, `offscript score` runs it over files, the service over gRPC.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy.typing import NDArray

from .alert import DETECTORS, Alert
from .errors import InputError, ModelError
from .folder import Model
from .kernels import N_DETECTORS, RING
from .scorer import layer1_cache, tables, workspace
from .stream_kernels import ROOM, end_rows, observe_rows
from .streams import Streams
from .vocabulary import PAST, START

_ROOM = 64  # findings kept before the kernel has to hand them over
_LIVE = 2048  # streams whose layer-1 cache is kept; the others' is rebuilt from their ring


@dataclass(frozen=True)
class Finding:
    """One statistic of one stream that passed its limit, with the window at that moment."""

    index: int  # of the event in the batch; −1: an end by silence or by mark
    row: int
    stream: str
    detector: str
    statistic: float
    limit: float
    score: float
    threshold: float
    surprisal: float
    entropy: float
    joined: bool
    position: int
    span: int
    time: float
    token: int
    expected: int
    expected_probability: float
    tokens: tuple[int, ...]
    times: tuple[float, ...]
    counts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """What a batch came to: surprisal and entropy in nats by event, and what passed a limit."""

    surprisal: Float32[np.ndarray, " events"]
    entropy: Float32[np.ndarray, " events"]
    findings: list[Finding]
    new: int  # events not in the vocabulary
    evicted: int  # streams forgotten to make room


class Detector:
    """State of up to `max_streams` streams; past that the longest silent are forgotten.

    A forgotten stream that returns is one joined in the middle. `limits=False` raises nothing and
    only keeps each stream's statistics, for calibration and evaluation.
    """

    def __init__(self, model: Model, *, max_streams: int = 1_000_000, limits: bool = True) -> None:
        if max_streams < 1:
            raise InputError(f"max_streams is {max_streams}; it must be at least 1")
        self.model = model
        self.max_streams = max_streams
        streams, decoder = model.config.streams, model.config.decoder
        self._rows: dict[str, int] = {}
        self._keys: list[str | None] = []
        self._free: list[int] = []
        self._state = Streams(decoder.d_vocab)
        self._tables = tables(model.weights)
        self._work = workspace(model.weights)
        slots = min(_LIVE, max_streams)
        keys, values = layer1_cache(model.weights, slots)
        self._cache = (
            keys,
            values,
            np.zeros(slots, np.int64),  # positions cached
            np.full(self._state.capacity, -1, np.int32),  # slot of a row
            np.full(slots, -1, np.int64),  # row of a slot
            np.zeros(slots, np.uint8),  # used since the clock's hand passed
            np.zeros(1, np.int64),  # the hand
        )
        self._found = (
            np.zeros(1, np.int64),
            np.zeros((_ROOM + ROOM, 9), np.int64),
            np.zeros((_ROOM + ROOM, 5)),
            np.zeros((_ROOM + ROOM, RING), np.int32),
            np.zeros((_ROOM + ROOM, RING)),
            np.zeros((_ROOM + ROOM, decoder.d_vocab), np.uint16),
        )
        self._limits = np.full((2, N_DETECTORS), np.inf)
        if limits:
            self._limits[0] = model.calibration.whole.limits()
            self._limits[1] = model.calibration.joined.limits()
        norms = np.linalg.norm(model.count_vectors, axis=1, keepdims=True)
        self._vectors = np.asarray(model.count_vectors / norms, dtype=np.float32)
        self._idle = 0.0 if streams.endless else streams.idle_seconds
        self._block = streams.block_seconds if streams.endless else 0.0
        self._openings = frozenset(streams.openings)
        self._sure_openings = frozenset(streams.sure_openings)
        self._tick = 0
        self.first_time = math.nan  # event time at which this detector began to watch
        self.watermark = math.nan  # latest event time seen
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._rows)

    def observe(
        self,
        stream: Sequence[str],
        name: Sequence[str | None],
        time: Float64[np.ndarray, " events"],
        *,
        started: Collection[str] = frozenset(),
    ) -> Observed:
        """Score events in order and feed them to their streams.

        `stream`, `name` and `time` (unix seconds, nan if unknown) lie side by side, one row an
        event; names not in the vocabulary count as `<new>`. `started` are streams whose first
        event is in this batch; others that are not known yet are judged by their first event.
        """
        if not len(stream) == len(name) == len(time):
            raise InputError(
                f"columns differ in length: {len(stream)} streams, {len(name)} names, "
                f"{len(time)} times"
            )
        self._tick += 1
        known = time[~np.isnan(time)]
        if len(known):
            if math.isnan(self.first_time):
                self.first_time = float(known[0])
            self.watermark = float(np.fmax(self.watermark, known.max()))
        tokens = np.array(self.model.vocabulary.ids(name), dtype=np.int32)
        rows = self._assign(stream, name, started)
        surprisal = np.zeros(len(rows), np.float32)
        entropy = np.zeros(len(rows), np.float32)
        findings: list[Finding] = []
        done = 0
        while done < len(rows):
            done = observe_rows(
                self._tables,
                self._state.state(),
                self._cache,
                self._work,
                self._found,
                self._limits,
                self._vectors,
                rows,
                tokens,
                time,
                self._idle,
                self._block,
                self.model.calibration.kappa,
                done,
                surprisal,
                entropy,
                self._tick,
            )
            findings += self._collect()
        new = int(np.count_nonzero(tokens == self.model.vocabulary.id(None)))
        evicted, self.evicted = self.evicted, 0
        return Observed(surprisal, entropy, findings, new, evicted)

    def streams(self) -> list[str]:
        """Keys of all streams known."""
        return list(self._rows)

    def end(self, streams: Iterable[str]) -> Observed:
        """End streams by an explicit mark; those not known or ended already are passed over."""
        rows = [self._rows[key] for key in streams if key in self._rows]
        return self._end(np.array(rows, dtype=np.int64))

    def end_idle(self, now: float) -> Observed:
        """End the streams that at event time `now` have been silent for the idle time."""
        if self._idle <= 0.0:
            return self._end(np.zeros(0, np.int64))
        n = len(self._keys)
        last, ended = self._state["last"][:n], self._state["ended"][:n]
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero((ended == 0) & (now - last > self._idle))
        return self._end(rows[np.argsort(last[rows], kind="stable")], idle=self._idle)

    def statistics(self, streams: Sequence[str]) -> Float64[np.ndarray, "streams detectors"]:
        """Maximum of each statistic of each stream so far, in the order of `DETECTORS`."""
        rows = [self._rows[key] for key in streams]
        return np.asarray(self._state["stats"][rows], dtype=np.float64)

    def joined(self, streams: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each stream was joined in the middle."""
        rows = [self._rows[key] for key in streams]
        return np.asarray(self._state["joined"][rows], dtype=np.bool_)

    def alert(self, finding: Finding, lines: Sequence[str | None] = ()) -> Alert:
        """The alert that a finding makes; `lines` are raw lines of its last tokens, if known."""
        names = self.model.vocabulary.names
        kept = list(lines)[-len(finding.tokens) :]
        padded = (None,) * (len(finding.tokens) - len(kept)) + tuple(kept)
        return Alert(
            id=uuid.uuid4().hex,
            model=self.model.sha256,
            stream=finding.stream,
            detector=finding.detector,
            time=finding.time,
            first_seen=finding.time,
            last_seen=finding.time,
            count=1,
            score=finding.score,
            threshold=finding.threshold,
            statistic=finding.statistic,
            limit=finding.limit,
            joined=finding.joined,
            position=finding.position,
            surprisal=finding.surprisal,
            entropy=finding.entropy,
            observed=names[finding.token],
            text=padded[-1] if padded else None,
            expected=names[finding.expected],
            expected_probability=finding.expected_probability,
            tokens=finding.tokens,
            times=finding.times,
            lines=padded,
            span=finding.span,
            counts=finding.counts,
        )

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The state of all streams as arrays: what a restart needs to go on as if uninterrupted."""
        rows = np.array(list(self._rows.values()), dtype=np.int64)
        state = {name: column[rows] for name, column in self._state.columns.items()}
        keys = [key.encode() for key in self._rows]
        state["key_bytes"] = np.frombuffer(b"".join(keys), dtype=np.uint8).copy()
        state["key_lengths"] = np.array([len(key) for key in keys], dtype=np.int64)
        state["clock"] = np.array([self.first_time, self.watermark, float(self._tick)])
        return state

    def restore(self, snapshot: dict[str, NDArray[np.generic]]) -> None:
        """Take up the state that `snapshot` left; this detector must not have seen events yet."""
        lengths = snapshot["key_lengths"].astype(np.int64)
        n = len(lengths)
        for name, column in self._state.columns.items():
            expected = (n, *column.shape[1:])
            if name not in snapshot or snapshot[name].shape != expected:
                got = snapshot[name].shape if name in snapshot else "nothing"
                raise ModelError(
                    f"saved stream state does not fit this model: {name} should be {expected}, is "
                    f"{got}; remove the saved state to start afresh"
                )
        self._state.grow(n)
        for name, column in self._state.columns.items():
            column[:n] = snapshot[name]
        whole = snapshot["key_bytes"].astype(np.uint8).tobytes()
        ends = np.cumsum(lengths)
        keys = [whole[end - size : end].decode() for end, size in zip(ends, lengths, strict=True)]
        self._keys = list(keys)
        self._rows = {key: row for row, key in enumerate(keys)}
        self._fit_cache()
        first, latest, tick = snapshot["clock"].astype(np.float64)
        self.first_time, self.watermark, self._tick = float(first), float(latest), int(tick)

    def _assign(
        self, stream: Sequence[str], name: Sequence[str | None], started: Collection[str]
    ) -> Int32[np.ndarray, " events"]:
        rows = np.empty(len(stream), np.int32)
        known = self._rows
        for index, key in enumerate(stream):
            row = known.get(key, -1)
            if row < 0:
                row = self._open(key, self._is_joined(key, name[index], started))
            rows[index] = row
        return rows

    def _is_joined(self, key: str, first: str | None, started: Collection[str]) -> bool:
        """Whether a stream not known yet began before its first event that we see.

        An event that (nearly) only opens streams says that it did not. Others that often open them
        are believed once we have watched for longer than a stream can pause.
        """
        if key in started or first in self._sure_openings:
            return False
        if self._block > 0.0 or first not in self._openings:
            return True
        return not self.watermark - self.first_time > self._idle > 0.0

    def _open(self, key: str, joined: bool) -> int:
        if not self._free and len(self._keys) >= self.max_streams:
            self._evict()
        if self._free:
            row = self._free.pop()
            self._keys[row] = key
        else:
            row = len(self._keys)
            self._keys.append(key)
            self._state.grow(row + 1)
            self._fit_cache()
        self._rows[key] = row
        self._state.begin(row, PAST if joined else START, joined)
        # Fresh streams must not look like the longest silent before their first event is fed.
        self._state["touched"][row] = self._tick
        return row

    def _evict(self) -> None:
        """Forget the eighth of the streams that have been silent longest."""
        touched = self._state["touched"][: len(self._keys)]
        idle = np.flatnonzero(touched < self._tick)
        if not len(idle):
            raise InputError(
                f"one batch names more than max_streams = {self.max_streams} streams; send smaller "
                "batches or allow more streams"
            )
        count = min(len(idle), max(1, len(self._keys) // 8))
        oldest = idle[np.argsort(touched[idle], kind="stable")[:count]]
        for row in oldest.tolist():
            key = self._keys[row]
            if key is not None:
                del self._rows[key]
            self._keys[row] = None
            self._state["ended"][row] = 1
            slot = self._cache[3][row]
            if slot >= 0:
                self._cache[4][slot] = -1
                self._cache[3][row] = -1
            self._free.append(row)
        self.evicted += count

    def _fit_cache(self) -> None:
        slot_of = self._cache[3]
        if len(slot_of) < self._state.capacity:
            grown = np.full(self._state.capacity, -1, np.int32)
            grown[: len(slot_of)] = slot_of
            self._cache = (*self._cache[:3], grown, *self._cache[4:])

    def _end(self, rows: NDArray[np.int64], idle: float = 0.0) -> Observed:
        ended, length = self._state["ended"], self._state["length"]
        rows = rows[(ended[rows] == 0) & (length[rows] > 1)]
        time = np.asarray(self._state["last"][rows] + idle, dtype=np.float64)
        surprisal = np.zeros(len(rows), np.float32)
        findings: list[Finding] = []
        done = 0
        while done < len(rows):
            done = end_rows(
                self._tables,
                self._state.state(),
                self._cache,
                self._work,
                self._found,
                self._limits,
                self._vectors,
                rows,
                time,
                done,
                surprisal,
            )
            findings += [replace(finding, index=-1) for finding in self._collect()]
        return Observed(surprisal, np.zeros_like(surprisal), findings, 0, 0)

    def _collect(self) -> list[Finding]:
        count, numbers, values, tokens, times, tallies = self._found
        found = [
            self._finding(numbers[at], values[at], tokens[at], times[at], tallies[at])
            for at in range(int(count[0]))
        ]
        count[0] = 0
        return found

    def _finding(
        self,
        numbers: NDArray[np.int64],
        values: NDArray[np.float64],
        tokens: NDArray[np.int32],
        times: NDArray[np.float64],
        tally: NDArray[np.uint16],
    ) -> Finding:
        index, row, which, position, span, token, expected, joined, size = numbers.tolist()
        statistic, surprisal, entropy, probability, time = values.tolist()
        detector = DETECTORS[which]
        calibrated = self.model.calibration.of(bool(joined))
        counts = {int(t): int(tally[t]) for t in np.flatnonzero(tally)}
        return Finding(
            index=index,
            row=row,
            stream=self._keys[row] or "",
            detector=detector,
            statistic=statistic,
            limit=float(self._limits[joined, which]),
            score=float(calibrated.tails[detector].score(statistic)),
            threshold=calibrated.threshold,
            surprisal=surprisal,
            entropy=entropy,
            joined=bool(joined),
            position=position,
            span=span,
            time=time,
            token=token,
            expected=expected,
            expected_probability=probability,
            tokens=tuple(tokens[:size].tolist()),
            times=tuple(times[:size].tolist()),
            counts=counts if detector == "counts" else {},
        )
