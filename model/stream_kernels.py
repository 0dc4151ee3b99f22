"""The detectors' inner loop, compiled by Numba: events of many streams, in order, with state kept.

All state lies in columns, one row a stream (see streams.py); a call takes a batch of events and
writes what passed a limit into preallocated findings. When those are full it returns early with the
number of events that are done, and is called again.
"""

from __future__ import annotations

import math

import numpy as np

from .kernels import (
    COUNTS,
    DRIFT,
    END_DETECTOR,
    EVENT,
    LEVEL,
    LEVEL_PRIOR,
    N_DETECTORS,
    NEW_DETECTOR,
    RING,
    STREAM,
    _jit,
    count_distance,
    expected_besides,
    predict,
    surprisal_and_entropy,
)
from .vocabulary import END, NEW

# With types of their own: Numba compiles a function anew for every literal that it is called with.
_EVENT, _DRIFT, _END_DETECTOR = np.int64(EVENT), np.int64(DRIFT), np.int64(END_DETECTOR)
_NEW_DETECTOR, _COUNTS, _LEVEL = np.int64(NEW_DETECTOR), np.int64(COUNTS), np.int64(LEVEL)
_STREAM, _END, _ONE = np.int64(STREAM), np.int32(END), np.int64(1)
ROOM = 8  # findings that one event can raise at the most, with room to spare


@_jit
def _slot(row, slot_of, row_of, used, hand, cached):
    """The live cache of a row: its own, or the next one whose turn has passed (CLOCK)."""
    slot = slot_of[row]
    if slot < 0:
        while used[hand[0]]:
            used[hand[0]] = 0
            hand[0] = (hand[0] + 1) % row_of.shape[0]
        slot = hand[0]
        hand[0] = (hand[0] + 1) % row_of.shape[0]
        if row_of[slot] >= 0:
            slot_of[row_of[slot]] = -1
        row_of[slot] = row
        slot_of[row] = slot
        cached[slot] = 0
    used[slot] = 1
    return slot


@_jit
def _logits(tables, state, cache, work, row):
    """Logits of the next event of a row, into the last array of `work`."""
    ring, length = state[0], state[2]
    keys, values, cached, slot_of, row_of, used, hand = cache
    resid, query, logits = work[4], work[5], work[6]
    slot = _slot(row, slot_of, row_of, used, hand, cached)
    cached[slot] = predict(
        tables,
        ring[row],
        length[row],
        keys[slot],
        values[slot],
        cached[slot],
        work[:4],
        resid,
        query,
        logits,
    )


@_jit
def _report(
    found, state, index, row, detector, token, statistic, surprisal, entropy, time, span, logits
):
    """Write one finding, with the stream's window as it is now and the observed token last."""
    count, numbers, values, tokens, times, tallies = found
    ring, ring_time, length, joined, tally = state[0], state[1], state[2], state[4], state[11]
    at = count[0]
    expected, probability = expected_besides(logits, token)
    for d in range(N_DETECTORS):
        values[at, 5 + d] = state[10][row, d]
    kept = min(length[row], RING - 1)
    numbers[at, 0] = index
    numbers[at, 1] = row
    numbers[at, 2] = detector
    # Tokens in the stream less its beginning mark, and this event; an end is not an event.
    numbers[at, 3] = length[row] - 1 + (0 if token == END else 1)
    numbers[at, 4] = span
    numbers[at, 5] = token
    numbers[at, 6] = expected
    numbers[at, 7] = joined[row]
    numbers[at, 8] = kept + 1
    values[at, 0] = statistic
    values[at, 1] = surprisal
    values[at, 2] = entropy
    values[at, 3] = probability
    values[at, 4] = time
    for i in range(kept):
        position = (length[row] - kept + i) % RING
        tokens[at, i] = ring[row, position]
        times[at, i] = ring_time[row, position]
    tokens[at, kept] = token
    times[at, kept] = time
    if detector == COUNTS:
        for v in range(tally.shape[1]):
            tallies[at, v] = tally[row, v]
    count[0] = at + 1


@_jit
def _pass(found, state, limits, index, row, detector, token, value, s, h, time, span, logits):
    """Keep the stream's maximum of a statistic; report it when it goes past its limit."""
    joined, stats = state[4], state[10]
    stats[row, detector] = max(stats[row, detector], value)
    if value > limits[joined[row], detector]:
        _report(found, state, index, row, detector, token, value, s, h, time, span, logits)


@_jit
def _together(stats, limits, tails):
    """√Σ s² over the detectors' scores s in the tail; 0 where one alone has passed its limit."""
    total = 0.0
    surprisal = 0.0  # the larger of an event's and the end's
    for d in range(STREAM):
        if stats[d] > limits[d]:
            return 0.0
        start, base, scale, shape, root = tails[d]
        if stats[d] > start:
            y = (stats[d] - start) / scale
            score = root * (base + (y if shape == 0.0 else math.log1p(shape * y) / shape))
            if d in (EVENT, END_DETECTOR):
                surprisal = max(surprisal, score)
            else:
                total += score * score
    return math.sqrt(total + surprisal * surprisal)


@_jit
def _pass_together(found, state, limits, tails, index, row, token, s, h, time, logits):
    """Report once that the detectors pass the limit together."""
    length, joined, stats = state[2], state[4], state[10]
    before, limit = stats[row, STREAM], limits[joined[row], STREAM]
    now = _together(stats[row], limits[joined[row]], tails[joined[row]])
    stats[row, STREAM] = max(before, now)
    if now > limit and before <= limit:
        _report(found, state, index, row, _STREAM, token, now, s, h, time, length[row], logits)


@_jit
def _end(tables, state, cache, work, found, limits, tails, vectors, usual, index, row, time):
    """Score the end of a stream. Nothing is fed to it: a late event finds the stream as it was."""
    ended, tally, joined, length, surprise = state[5], state[11], state[4], state[2], state[13]
    logits = work[6]
    _logits(tables, state, cache, work, row)
    s, h = surprisal_and_entropy(logits, END)
    _pass(found, state, limits, index, row, _END_DETECTOR, _END, s, s, h, time, _ONE, logits)
    if joined[row] == 0 and vectors.shape[0] > 0:
        distance = count_distance(tally[row], vectors)
        _pass(found, state, limits, index, row, _COUNTS, _END, distance, s, h, time, _ONE, logits)
    events = length[row]  # the end is one, and the beginning's mark is none
    level = (surprise[row] + s - events * usual) / (events + LEVEL_PRIOR)
    state[10][row, LEVEL] = -math.inf  # it may be negative, and the latest end counts
    _pass(found, state, limits, index, row, _LEVEL, _END, level, s, h, time, events, logits)
    _pass_together(found, state, limits, tails, index, row, _END, s, h, time, logits)
    ended[row] = 1
    return s, h


@_jit
def end_rows(
    tables, state, cache, work, found, limits, tails, vectors, usual, rows, time, done, surprisal
):
    """End the streams of `rows[done:]`; returns how many are done when there is no room left.

    `tails`: start, base, scale, shape and √w of each detector's; `usual`: nats that an event of a
    normal stream surprises by on average.
    """
    room = found[1].shape[0]
    for i in range(done, rows.shape[0]):
        if found[0][0] + ROOM > room:
            return i
        row, at = rows[i], time[i]
        s, _ = _end(tables, state, cache, work, found, limits, tails, vectors, usual, i, row, at)
        surprisal[i] = s
    return rows.shape[0]


@_jit
def observe_rows(
    tables,
    state,
    cache,
    work,
    found,
    limits,
    tails,
    vectors,
    rows,
    tokens,
    times,
    idle,
    block,
    kappa,
    usual,
    done,
    surprisal,
    entropy,
    tick,
):
    """Score events `done:` in order and feed them to their streams; returns how many are done.

    `idle`: seconds of silence that end a stream (0: never); `block`: seconds of a block of an
    endless stream (0: not endless); `kappa`: what an event's excess must pass to add to the drift;
    `tails`, `usual`: see `end_rows`.
    """
    ring, ring_time, length, last, joined, ended = state[:6]
    cusum, span, news, blocks, stats, tally, touched, surprise = state[6:14]
    logits = work[6]
    room = found[1].shape[0]
    for i in range(done, rows.shape[0]):
        if found[0][0] + ROOM > room:
            return i
        row, token, time = rows[i], tokens[i], times[i]
        if idle > 0.0 and ended[row] == 0 and length[row] > 1 and time - last[row] > idle:
            end = last[row] + idle
            _end(tables, state, cache, work, found, limits, tails, vectors, usual, i, row, end)
        ended[row] = 0
        if block > 0.0 and not math.isnan(time):
            now = math.floor(time / block)
            if now != blocks[row]:
                blocks[row] = now
                cusum[row] = 0.0
                span[row] = 0
                news[row] = 0
                for d in range(stats.shape[1]):
                    stats[row, d] = 0.0
        _logits(tables, state, cache, work, row)
        s, h = surprisal_and_entropy(logits, token)
        surprisal[i] = s
        entropy[i] = h
        _pass(found, state, limits, i, row, _EVENT, token, s, s, h, time, _ONE, logits)
        surprise[row] += s
        before = cusum[row]
        cusum[row] = max(0.0, before + s - h - kappa)
        span[row] = span[row] + 1 if cusum[row] > 0.0 else 0
        stats[row, DRIFT] = max(stats[row, DRIFT], cusum[row])
        limit = limits[joined[row], DRIFT]
        # Once each time it passes the limit, not for every event that it stays above.
        if cusum[row] > limit and before <= limit:
            _report(found, state, i, row, _DRIFT, token, cusum[row], s, h, time, span[row], logits)
        if token == NEW:
            news[row] += 1
            many = math.log2(1.0 + news[row])
            _pass(
                found, state, limits, i, row, _NEW_DETECTOR, token, many, s, h, time, _ONE, logits
            )
        start = tails[joined[row]]
        rose = cusum[row] > max(before, start[DRIFT, 0])
        if rose or s > start[EVENT, 0] or token == NEW:
            _pass_together(found, state, limits, tails, i, row, token, s, h, time, logits)
        if tally[row, token] < np.iinfo(np.uint16).max:
            tally[row, token] += 1
        at = length[row] % RING
        ring[row, at] = token
        ring_time[row, at] = time
        length[row] += 1
        if not math.isnan(time):
            last[row] = time
        touched[row] = tick
    return rows.shape[0]
