"""One scorer thread with the streams that belong to it: scores what waits, raises alerts, saves."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import accumulate

import numpy as np
from jaxtyping import Int64

from ..model.alert import Alert
from ..model.detector import Detector
from ..model.finding import Finding
from ..model.folder import Model
from ..model.vocabulary import NEW
from .arrays import Arrays
from .carry import Carried, carry
from .checkpoint import Checkpoint, from_arrays
from .clocks import Clocks
from .config import ServiceConfig
from .drift import Drift
from .feeding import allowed, feed_in, joined, strongest
from .lines import Lines, Positions
from .metrics import ModelMetrics
from .own_patterns import OwnPatterns
from .reorder import Order, ReorderBuffer
from .saving import Saving
from .senders import accounts, heard
from .spool import Spool
from .stored import StoredAlert
from .ticket import Part, PartOutcome
from .writer import Entry, Writer

_KNOWN = 8  # one part in so many of the memory for fast scoring is for contexts that came before
_CLIENTS = 10_000  # whose last batch is remembered
_GROUP_EVENTS = 4096  # scored at a time; more would gain nothing
_TICK_SECONDS = 1.0  # between two looks for streams that have ended by silence
_PAUSE_SECONDS = 0.5  # that a look at a stream waits for a moment without scoring
_BREATH_SECONDS = 0.001  # between two groups, for who waits to hold it
_ENDED = 128  # streams that are ended by silence at a time, with others scored in between


class Shard:
    """Owns a detector. `put` and `stop` may be called by any thread."""

    def __init__(
        self,
        number: int,
        model: Model,
        config: ServiceConfig,
        *,
        name: str,
        spool: Spool | None,
        own: OwnPatterns,
        writer: Writer,
        metrics: ModelMetrics,
        drift: Drift,
    ) -> None:
        self.number = number
        self._name = name  # of the model
        self._model = model
        self._config = config
        self._lines = Lines(spool, own)
        self._writer = writer
        self._metrics = metrics
        self._drift = drift
        self._most_streams = max(1, config.max_streams // config.threads)
        self._detector = self.new_detector(model)
        self._clocks = Clocks()
        self._scored: dict[str, int] = {}  # last batch scored of each client, latest client last
        self._parts: deque[Part] = deque()
        self._reorder = ReorderBuffer(config)
        self._hurried = 0  # who wants nothing to wait in there
        self._wake = threading.Condition()
        self._stopping = False
        self._between = False  # two groups of parts, with nothing under way
        self._nudged = False  # there may be more to save
        self._looking = 0  # threads that wait for that to look at a stream
        self._saving = Saving((name, number), writer, config.checkpoint_seconds, self._nudge)
        self._changed = False  # since it was saved
        self._thread = threading.Thread(target=self._run, name=f"scorer-{number}", daemon=True)

    def restore(self, arrays: Arrays) -> None:
        """Take up the state that was saved."""
        saved = from_arrays(arrays, self._owner(), self._name)
        if saved.streams:
            self._detector.restore(saved.streams)
        self._scored = saved.clients
        self._clocks.restore(saved.clocks, saved.numbers, time.time())

    def start(self) -> None:
        self._thread.start()

    def put(self, part: Part) -> None:
        with self._wake:
            self._parts.append(part)
            self._wake.notify()

    @contextmanager
    def held(self) -> Iterator[None]:
        """All that was put is scored, and until this is over nothing happens here.

        For the thread that puts parts; it may look at the streams and change them.
        """
        with self._wake:
            self.hurry()
            self._wake.wait_for(lambda: self._between and not (self._parts or self._reorder))
            self._hurried -= 1
            yield

    def hurry(self) -> None:
        """From now on nothing waits for earlier events of its stream."""
        with self._wake:
            self._hurried += 1
            self._nudge()

    def recent(self, stream: str, model: str) -> tuple[int, tuple[int, ...]]:
        """What is kept of a stream; nothing if another model serves, or if scoring takes long."""
        with self._wake:
            self._looking += 1
            between = self._wake.wait_for(lambda: self._between, _PAUSE_SECONDS)
            self._looking -= 1
            self._wake.notify_all()
            if not between or self._model.sha256 != model:
                return 0, ()
            return self._detector.recent(stream)

    def new_detector(self, model: Model) -> Detector:
        """One that has seen nothing yet, with this shard's share of memory."""
        memory = self._config.live_bytes // self._config.threads
        return Detector(
            model,
            max_streams=self._most_streams,
            live_bytes=memory - memory // _KNOWN,
            known_bytes=memory // _KNOWN,
        )

    def hand_over(self, detector: Detector) -> Int64[np.ndarray, " lost"]:
        """While it is held: have another go on, once adopted; rows of streams that cannot."""
        return carry(self._detector, detector)

    def adopt(self, detector: Detector, drift: Drift, lost: Int64[np.ndarray, " lost"]) -> Carried:
        """While it is held: go on with what has the streams. What clients have sent is known."""
        before = len(self._detector)
        detector.forget(lost)
        self._model, self._detector, self._drift = detector.model, detector, drift
        self._lines.begin_anew()
        self._saving.begin_anew()
        self._changed = self._nudged = True
        self._wake.notify()
        self._metrics.streams_active.labels(self.number).set(len(detector))
        return Carried(len(detector), before - len(detector))

    def stop(self) -> None:
        """Score what waits, save the state, end."""
        self._stopping = True
        self.hurry()
        self._thread.join()

    def _run(self) -> None:
        next_tick = time.monotonic() + _TICK_SECONDS
        while True:
            group = self._take(min(next_tick, self._saving.next, self._reorder.next))
            if self._score(group):
                self._changed = True
            elif self._stopping and not (self._parts or self._reorder):
                break
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now if self._end_idle() else now + _TICK_SECONDS
            if self._changed and self._saving.is_due():
                self._changed = False
                self._saving.begin(self._detector, self._arrays())
            self._saving.go_on(self._detector)
        self._saving.finish(self._detector, self._arrays())
        self._lines.close()

    def _take(self, until: float) -> list[Part]:
        """What waits or comes until a monotonic time, in order; parts with marks come alone."""
        with self._wake:
            self._between = True
            self._wake.notify_all()
            # Who looks at a stream comes in between even where there is always more to score.
            self._wake.wait_for(lambda: not self._looking)
            # Nor does it take forever to hold it where there are always more streams to end.
            timeout = max(_BREATH_SECONDS, until - time.monotonic())
            self._wake.wait_for(lambda: self._parts or self._stopping or self._nudged, timeout)
            self._between = self._nudged = False
            group: list[Part] = []
            events = 0
            while self._parts:
                part = self._parts[0]
                events += len(part.rows)
                alone = bool(part.started or part.ended)
                if group and (alone or events > _GROUP_EVENTS):
                    break
                group.append(self._parts.popleft())
                if alone:
                    break
        return group

    def _score(self, group: list[Part]) -> bool:
        """Score what is due now; whether there was anything to do."""
        fresh = []
        for part in group:
            batch = part.ticket.batch
            self._metrics.queue_seconds.observe(max(0.0, time.time() - batch.received))
            if part.ticket.future.cancelled():  # whoever asked has given up
                self._metrics.events["abandoned"].inc(len(part.rows))
            elif batch.client and 0 < batch.seq <= self._scored.get(batch.client, 0):
                self._metrics.events["repeated"].inc(len(part.rows))
                # What it raised the first time may still wait for the store; so does this answer.
                outcome = PartOutcome(np.zeros(0, np.float32), repeated=True)
                self._writer.put(Entry(done=partial(_answer, part, outcome)))
            else:
                fresh.append(part)
                continue
            part.ticket.scored()
        due, order = self._reorder.exchange(fresh, math.inf if self._hurried else time.monotonic())
        try:
            if due:
                self._observe(due, order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread has to go on
            for part in due:
                part.ticket.fail(error)
        for part in due:
            part.ticket.scored()
        return bool(group or due)

    def _observe(self, parts: list[Part], order: Order | None) -> None:
        rows = joined([part.rows for part in parts])
        positions = self._lines.keep(parts, order)
        self._metrics.spool_bytes.labels(self.number).set(len(self._lines))
        started = frozenset().union(*(part.started for part in parts))
        start, before = time.perf_counter(), (len(self._detector), self._detector.watermark)
        source, gone = heard(self._clocks, parts)
        if gone:
            self._detector.leave(gone)
        most, sender = self._most_streams, accounts(parts)
        observed = feed_in(
            order, self._detector, rows, started=started, most=most, source=source, sender=sender
        )
        self._metrics.alerts_allowed.inc(allowed(self._detector, len(rows), observed, *before))
        bounds = list(accumulate((len(part.rows) for part in parts), initial=0))
        raised: list[list[Alert]] = [[] for _ in parts]
        for finding in strongest(observed.findings):
            # An event's finding belongs to the part that the event came with.
            at = bisect_right(bounds, max(finding.index, 0)) - 1
            raised[at].append(self._alert(finding, parts[at], bounds[at], positions))
        for part, alerts in zip(parts, raised, strict=True):
            if part.ended:
                ended = strongest(self._detector.end(part.ended).findings)
                alerts += [self._alert(finding, part, 0, None) for finding in ended]
        self._metrics.score_seconds.observe(time.perf_counter() - start)
        self._drift.add(observed.surprisal)
        self._metrics.scored(self.number, len(rows), observed, len(self._detector))
        if len(rows):
            self._metrics.last_event.set(float(rows.time.max()))
        for at, part in enumerate(parts):
            batch = part.ticket.batch
            if batch.client and batch.seq:
                self._scored.pop(batch.client, None)
                self._scored[batch.client] = batch.seq
            surprisal = observed.surprisal[bounds[at] : bounds[at + 1]]
            self._raise(raised[at], part, PartOutcome(surprisal))
        while len(self._scored) > _CLIENTS:
            del self._scored[next(iter(self._scored))]

    def _alert(
        self, finding: Finding, part: Part | None, begin: int, positions: Positions
    ) -> Alert:
        """The alert with its lines; `begin` is the part's first event in the batch."""
        lines = self._lines.window(finding, part, begin, positions)
        text = lines[-1]
        if text is None and finding.token == NEW and finding.index >= 0 and part is not None:
            name = part.rows.name[finding.index - begin]
            text = None if name is None else self._lines.redacted(name)
        alert = replace(self._detector.alert(finding, lines, text=text), model_name=self._name)
        if math.isnan(alert.time):
            now = time.time()
            alert = replace(alert, time=now, first_seen=now, last_seen=now)
        return alert

    def _raise(self, alerts: list[Alert], part: Part | None, outcome: PartOutcome | None) -> None:
        """Store alerts, then answer; with none there is nothing to wait for."""
        for alert in alerts:
            self._metrics.alerts[alert.detector].inc()
        if part is not None and outcome is not None:
            if alerts:
                self._writer.put(Entry(tuple(alerts), done=partial(_answer, part, outcome)))
            else:
                part.ticket.done(part, outcome)
        elif alerts:
            self._writer.put(Entry(tuple(alerts)))

    def _end_idle(self) -> bool:
        """End streams that are silent for long; whether there may be more of them."""
        now = self._clocks.now(time.time()) - self._config.reorder_seconds  # events may wait
        ended, more = self._detector.end_some_idle(now, _ENDED)
        self._changed |= len(ended.surprisal) > 0
        findings = strongest(ended.findings)
        self._raise([self._alert(finding, None, 0, None) for finding in findings], None, None)
        return more

    def _arrays(self) -> Arrays:
        """What is saved beside the streams."""
        clocks = self._clocks
        clock, times = {"clock": self._detector.clock()}, clocks.times(time.time())
        return Checkpoint(clock, self._scored, times, clocks.numbers).arrays(self._owner())

    def _nudge(self) -> None:
        """Have the thread look at what there is to save."""
        with self._wake:
            self._nudged = True
            self._wake.notify_all()

    def _owner(self) -> str:
        return f"{self._model.sha256} {self.number}/{self._config.threads}"


def _answer(part: Part, outcome: PartOutcome, stored: list[StoredAlert]) -> None:
    part.ticket.done(part, replace(outcome, alerts=tuple(stored)))
