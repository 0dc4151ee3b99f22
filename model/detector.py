"""Events in, findings out: the one entry that every source of events calls.

A detector owns the state of its streams and is driven by one thread. It knows no files, no network
and no store; training calibrates it, `offscript score` runs it over files, the service over gRPC.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt16, UInt32
from numpy.typing import NDArray

from .alert import DETECTORS, Alert
from .errors import InputError
from .eviction import claim
from .finding import Finding, Observed, alert_of, room_for
from .folder import Model
from .forward_kernels import BLOCK
from .kernels import N_DETECTORS
from .scorer import KNOWN_BYTES, LIVE_BYTES, Scorer
from .stream_kernels import ROOM, end_rows, observe_rows, silent_rows
from .streams import Streams
from .vocabulary import END, NEW

Clocks = Float64[np.ndarray, " sources"]
_LOOK = 65_536  # streams looked at by one call of `end_some_idle`, in a millisecond or so
_ROOM = 64  # findings kept before the kernel has to hand them over


class Detector:
    """Scores the events of up to `max_streams` streams and finds what passes its limit.

    `live_bytes`: memory for what goes from event to event of the streams that were active last; the
    others' has to be computed again when they go on. `known_bytes`: memory for what follows events
    that came before in the same order; none of it changes a score.
    `limits=False` finds nothing and only keeps each stream's statistics, for calibration and
    evaluation.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_streams: int = 1_000_000,
        live_bytes: int = LIVE_BYTES,
        known_bytes: int = KNOWN_BYTES,
        limits: bool = True,
    ) -> None:
        if max_streams < 1:
            raise InputError(f"max_streams is {max_streams}; it must be at least 1")
        self.model = model
        streams, d_vocab = model.config.streams, model.config.decoder.d_vocab
        self._streams = Streams(d_vocab, streams, most=max_streams)
        self._scorer = Scorer(
            model.tables, rows=max_streams, live_bytes=live_bytes, known_bytes=known_bytes
        )
        self._found = room_for(_ROOM + ROOM, d_vocab)
        self._limits = np.full((2, N_DETECTORS), np.inf)
        if limits:
            self._limits[0] = model.calibration.whole.limits()
            self._limits[1] = model.calibration.joined.limits()
        self._law = (
            self._limits,
            np.array([model.calibration.of(joined).laws() for joined in (False, True)]),
            model.count_columns,
            model.calibration.usual,
            model.calibration.kappa,
        )
        self._idle = 0.0 if streams.endless else streams.idle_seconds
        self._looked = 0  # the row that is looked at next for streams that are silent
        self._block = streams.block_seconds if streams.endless else 0.0

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def watermark(self) -> float:
        """Latest event time seen, unix seconds; nan before the first."""
        return self._streams.watermark

    def observe(
        self,
        stream: Sequence[str],
        name: Sequence[str | None],
        time: Float64[np.ndarray, " events"],
        *,
        started: Collection[str] = frozenset(),
        source: Int32[np.ndarray, " events"] | int = 0,
        sender: UInt32[np.ndarray, " events"] | int = 0,
    ) -> Observed:
        """Score events in order and feed them to their streams.

        `stream`, `name` and `time` (unix seconds, nan if unknown) lie side by side, one row an
        event; names not in the vocabulary count as `<new>`. `started` are streams whose first
        event is in this batch; others that are not known yet are judged by their first event.
        `source` numbers, from 0, whose clock the silence of each event's stream is counted by,
        `sender`, from 1, who makes room when there are too many: who has most of them.
        """
        if not len(stream) == len(name) == len(time):
            raise InputError(
                f"columns differ in length: {len(stream)} streams, {len(name)} names, "
                f"{len(time)} times"
            )
        streams = self._streams
        streams.tick += 1
        moments = np.array(time, dtype=np.float64)  # a copy: kernels are compiled for writable ones
        if len(known := moments[~np.isnan(moments)]):
            if math.isnan(streams.known_since):
                streams.known_since = float(known[0])
            streams.watermark = float(np.fmax(streams.watermark, known.max()))
        tokens = self.model.vocabulary.tokens(name)
        rows = streams.assign(stream, name, moments, started)
        streams.state["source"][rows] = source
        claim(streams.senders, rows, sender)
        computed = self._scorer.computed
        evicted = self._follow()
        surprisal = np.zeros(len(rows), np.float32)
        entropy = np.zeros(len(rows), np.float32)
        findings: list[Finding] = []
        for begin in range(0, len(rows), BLOCK):
            block = slice(begin, begin + BLOCK)
            asked = self._scorer.predict(rows[block], tokens[block], streams.state, streams.ring)
            done, size = 0, len(rows[block])
            while done < size:
                done = observe_rows(
                    self._found,
                    streams.arrays(),
                    asked,
                    self._law,
                    rows[block],
                    tokens[block],
                    moments[block],
                    self._idle,
                    self._block,
                    done,
                    surprisal[block],
                    entropy[block],
                    streams.tick,
                )
                findings += self._collect(begin)
        looked_up = len(rows) - (self._scorer.computed - computed)
        new, late = int(np.count_nonzero(tokens == NEW)), int(self._found[0][1])
        self._found[0][1] = 0
        return Observed(surprisal, entropy, findings, new, evicted, looked_up, late)

    def known(self) -> list[str]:
        """Keys of all streams known."""
        return self._streams.known()

    def recent(self, stream: str) -> tuple[int, tuple[int, ...]]:
        """How many tokens a stream has had, its beginning's mark included, and the last of them."""
        return self._streams.recent(stream)

    def end(self, streams: Iterable[str]) -> Observed:
        """End streams by an explicit mark; those not known or ended already are passed over."""
        return self._end(self._streams.find(list(streams)))

    def end_idle(self, now: float) -> Observed:
        """End the streams that at event time `now` have been silent for the idle time, the longest
        silent first; with a surprisal for each that was ended.
        """
        return self._end_silent(np.array([now]), 0, *[len(self._streams.keys)] * 2)[0]

    def end_some_idle(self, now: Clocks, most: int) -> tuple[Observed, bool]:
        """The same a few at a time: go on through the streams, as they came, and end up to `most`;
        each by what time it is for its source, nan if that is not known.

        With whether more are left; if not, the next call begins anew.
        """
        end = len(self._streams.keys)
        until = min(end, self._looked + _LOOK)
        ended, self._looked = self._end_silent(now, self._looked, until, most)
        if self._looked < end:
            return ended, True
        self._looked = 0
        return ended, False

    def statistics(self, streams: Sequence[str]) -> Float64[np.ndarray, "streams detectors"]:
        """Maximum of each statistic of each stream so far, in the order of `DETECTORS`."""
        rows = self._streams.rows(streams)
        return np.asarray(self._streams.state["stats"][rows], dtype=np.float64)

    def joined(self, streams: Sequence[str]) -> Bool[np.ndarray, " streams"]:
        """Whether each stream was joined in the middle."""
        rows = self._streams.rows(streams)
        return np.asarray(self._streams.state["joined"][rows], dtype=np.bool_)

    def alert(
        self, finding: Finding, lines: Sequence[str | None] = (), *, text: str | None = None
    ) -> Alert:
        """The alert that a finding makes, as `alert_of` says."""
        return alert_of(finding, self.model, lines, text=text)

    def stale(self) -> list[int]:
        """Numbers of the parts of the state that have changed since `part` gave them last."""
        return self._streams.stale()

    def part(self, number: int) -> dict[str, NDArray[np.generic]]:
        """One part of the state; all of them and `clock` are what a restart needs."""
        return self._streams.part(number)

    def clock(self) -> NDArray[np.float64]:
        """What the state holds beside the streams themselves."""
        return self._streams.clock()

    def restore(self, snapshot: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up a state, its parts put together, before any event is seen."""
        self._streams.restore(snapshot)
        self._follow()

    def take_over(
        self, old: Detector, ids: UInt16[np.ndarray, " d_vocab"]
    ) -> Int64[np.ndarray, " lost"]:
        """Go on where `old` is, whose token t is `ids[t]` here; only one of the two may go on.

        Returns the rows, for `forget`, of streams with events that only `old` knows. This detector
        must not have seen events yet.
        """
        lost = self._streams.take_over(old._streams, ids)
        self._scorer.take_over(old._scorer)
        self._follow()
        return lost

    def leave(self, sources: Sequence[int]) -> None:
        """These sources are gone: the silence of their streams is counted by the clock of 0."""
        self._streams.leave(sources)

    def forget(self, rows: Int64[np.ndarray, " rows"]) -> None:
        """Forget the streams in these rows; one that returns is joined in the middle."""
        self._streams.forget(rows)
        self._follow()

    def _follow(self) -> int:
        """Let the cache follow what happened to rows; returns how many streams were forgotten."""
        self._scorer.follow(len(self._streams.state))
        forgotten, self._streams.forgotten = self._streams.forgotten, []
        if forgotten:
            self._scorer.rest(np.array(forgotten, dtype=np.int64))
        return len(forgotten)

    def _end_silent(self, now: Clocks, begin: int, end: int, most: int) -> tuple[Observed, int]:
        """End up to `most` silent streams of rows `begin:end`; with the row to go on from."""
        if self._idle <= 0.0:
            return self._end(np.zeros(0, np.int64)), end
        state, found = self._streams.state, np.zeros(min(most, max(0, end - begin)), np.int64)
        begin, n = silent_rows(state, begin, end, now, self._idle, found)
        rows = found[:n]
        return self._end(rows[np.argsort(state["last"][rows], kind="stable")], self._idle), begin

    def _end(self, rows: NDArray[np.int64], idle: float = 0.0) -> Observed:
        state = self._streams.state
        rows = rows[(state["ended"][rows] == 0) & (state["length"][rows] > 1)]
        time = np.asarray(state["last"][rows] + idle, dtype=np.float64)
        surprisal = np.zeros(len(rows), np.float32)
        findings: list[Finding] = []
        for begin in range(0, len(rows), BLOCK):
            block = slice(begin, begin + BLOCK)
            ends = np.full(len(rows[block]), END, np.int32)
            asked = self._scorer.predict(rows[block], ends, state, self._streams.ring)
            done, size = 0, len(rows[block])
            while done < size:
                done = end_rows(
                    self._found,
                    self._streams.arrays(),
                    asked,
                    self._law,
                    rows[block],
                    time[block],
                    done,
                    surprisal[block],
                )
                findings += [replace(finding, index=-1) for finding in self._collect(begin)]
        self._scorer.rest(rows)
        self._streams.changed(rows)
        return Observed(surprisal, np.zeros_like(surprisal), findings, 0, 0, 0, 0)

    def _collect(self, begin: int) -> list[Finding]:
        """What was found in a block, `begin` events into the batch."""
        count, numbers, values, tokens, times, tallies = self._found
        found = int(count[0])
        count[0] = 0
        return [
            self._finding(begin, numbers[at], values[at], tokens[at], times[at], tallies[at])
            for at in range(found)
        ]

    def _finding(
        self,
        begin: int,
        numbers: NDArray[np.int64],
        values: NDArray[np.float64],
        tokens: NDArray[np.int32],
        times: NDArray[np.float64],
        tally: NDArray[np.uint16],
    ) -> Finding:
        index, row, which, position, span, token, expected, joined, size = numbers.tolist()
        statistic, surprisal, entropy, probability, time, *statistics = values.tolist()
        detector = DETECTORS[which]
        calibrated = self.model.calibration.of(bool(joined))
        counted = np.flatnonzero(tally).tolist() if detector == "counts" else []
        each = dict(zip(DETECTORS, statistics, strict=True))
        scores = calibrated.counted(each) if detector == "stream" else {}
        return Finding(
            index=begin + index,
            row=row,
            stream=self._streams.keys[row] or "",
            detector=detector,
            statistic=statistic,
            limit=float(self._limits[joined, which]),
            score=statistic if scores else calibrated.score_of(detector, statistic),
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
            counts={token: int(tally[token]) for token in counted},
            scores=scores,
        )
