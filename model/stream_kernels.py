"""The detectors' inner loop, compiled by Numba: events of many streams, in order, with state kept.

A stream's state is one row (see streams.py); a call takes a block of events with their logits and
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
    TIMES,
    _jit,
    count_distance,
    expected_besides,
)
from .simd import prefetch
from .vocabulary import END, NEW, PAST, START

# With types of their own: Numba compiles a function anew for every literal that it is called with.
_EVENT, _DRIFT, _END_DETECTOR = np.int64(EVENT), np.int64(DRIFT), np.int64(END_DETECTOR)
_NEW_DETECTOR, _COUNTS, _LEVEL = np.int64(NEW_DETECTOR), np.int64(COUNTS), np.int64(LEVEL)
_STREAM, _END, _ONE = np.int64(STREAM), np.int32(END), np.int64(1)
_AHEAD = 8  # events between asking for what one needs and needing it
ROOM = 8  # findings that one event can raise at the most, with room to spare


@_jit
def _report(found, streams, asked, index, row, detector, token, statistic, s, h, time, span):
    """Write one finding, with the stream's window as it is now and the observed token last."""
    count, numbers, values, tokens, times, tallies = found
    state, ring, gaps, tally = streams
    logits, where, _, width, d_vocab = asked
    stream = state[row]
    at = count[0]
    expected, probability = expected_besides(logits, where[index] * width, d_vocab, token)
    for d in range(N_DETECTORS):
        values[at, 5 + d] = stream.stats[d]
    kept = min(stream.length, RING - 1)
    numbers[at, 0] = index
    numbers[at, 1] = row
    numbers[at, 2] = detector
    # Tokens in the stream less its beginning mark, and this event; an end is not an event.
    numbers[at, 3] = stream.length - 1 + (0 if token == END else 1)
    numbers[at, 4] = span
    numbers[at, 5] = token
    numbers[at, 6] = expected
    numbers[at, 7] = stream.joined
    numbers[at, 8] = kept + 1
    values[at, 0] = statistic
    values[at, 1] = s
    values[at, 2] = h
    values[at, 3] = probability
    values[at, 4] = time
    moment = stream.last
    for i in range(kept):
        position = stream.length - 1 - i
        tokens[at, kept - 1 - i] = ring[row, position % RING]
        gap = gaps[row, position % TIMES] if i < TIMES else np.float32(math.nan)
        times[at, kept - 1 - i] = math.nan if math.isnan(gap) else moment
        if not math.isnan(gap):
            moment -= gap
    tokens[at, kept] = token
    times[at, kept] = time
    if detector == COUNTS:
        for v in range(tally.shape[1]):
            tallies[at, v] = tally[row, v]
    count[0] = at + 1


@_jit
def _surprise(asked, index, token):
    """−log p of a token, and the entropy of p, in nats."""
    logits, where, sums, width, _ = asked
    entry = where[index]
    return sums[entry, 0] - logits[entry * width + token], sums[entry, 1]


@_jit
def _pass(found, streams, asked, limits, index, row, detector, token, value, s, h, time, span):
    """Keep the stream's maximum of a statistic; report it when it goes past its limit."""
    stream = streams[0][row]
    stream.stats[detector] = max(stream.stats[detector], value)
    if value > limits[stream.joined, detector]:
        _report(found, streams, asked, index, row, detector, token, value, s, h, time, span)


@_jit
def _together(stats, limits, tails):
    """√Σ s² over the detectors' scores s that count; 0 where one alone has passed its limit."""
    total = 0.0
    surprisal = 0.0  # the larger of an event's and the end's
    for d in range(STREAM):
        if stats[d] > limits[d]:
            return 0.0
        least, start, base, scale, shape, root = tails[d]
        if stats[d] > least:
            y = (stats[d] - start) / scale
            score = root * (base + (y if shape == 0.0 else math.log1p(shape * y) / shape))
            if d in (EVENT, END_DETECTOR):
                surprisal = max(surprisal, score)
            else:
                total += score * score
    return math.sqrt(total + surprisal * surprisal)


@_jit
def _pass_together(found, streams, asked, limits, tails, index, row, token, s, h, time):
    """Report once that the detectors pass the limit together."""
    stream = streams[0][row]
    joined = stream.joined
    before, limit = stream.stats[STREAM], limits[joined, STREAM]
    now = _together(stream.stats, limits[joined], tails[joined])
    stream.stats[STREAM] = max(before, now)
    if now > limit and before <= limit:
        length = stream.length
        _report(found, streams, asked, index, row, _STREAM, token, now, s, h, time, length)


@_jit
def _end(found, streams, asked, law, index, row, time):
    """Score the end of a stream. Nothing is fed to it: a late event finds the stream as it was."""
    limits, tails, vectors, usual, _ = law
    stream = streams[0][row]
    s, h = _surprise(asked, index, END)
    _pass(found, streams, asked, limits, index, row, _END_DETECTOR, _END, s, s, h, time, _ONE)
    if stream.joined == 0 and vectors.shape[1] > 0:
        far = count_distance(streams[3][row], vectors)
        _pass(found, streams, asked, limits, index, row, _COUNTS, _END, far, s, h, time, _ONE)
    events = stream.length  # the end is one, and the beginning's mark is none
    level = (stream.surprise + s - events * usual) / (events + LEVEL_PRIOR)
    stream.stats[LEVEL] = -math.inf  # it may be negative, and the latest end counts
    _pass(found, streams, asked, limits, index, row, _LEVEL, _END, level, s, h, time, events)
    _pass_together(found, streams, asked, limits, tails, index, row, _END, s, h, time)
    stream.ended = 1
    return s


@_jit
def end_rows(found, streams, asked, law, rows, time, done, surprisal):
    """End the streams of `rows[done:]`; returns how many are done when there is no room left.

    `asked`: logits made flat, which row of them predicts each row's next event, what sums up a row
    (see `log_sum_and_entropy`), the width of one and d_vocab; `law`: limits and tails (see `laws`
    of `calibration.Threshold`), directions of normal counts, nats that an event of a normal stream
    surprises by on average, and what an event's excess must pass to add to the drift.
    """
    room = found[1].shape[0]
    for i in range(done, rows.shape[0]):
        if found[0][0] + ROOM > room:
            return i
        surprisal[i] = _end(found, streams, asked, law, i, rows[i], time[i])
    return rows.shape[0]


@_jit
def begin_rows(streams, rows, joined, tick):
    """Nothing is known yet of these streams but whether they were joined in the middle."""
    state, ring, gaps, tally = streams
    for i in range(rows.shape[0]):
        row = rows[i]
        stream = state[row]
        stream.length, stream.blocks, stream.last = 1, -1, math.nan
        stream.cusum = stream.surprise = 0.0
        stream.span = stream.news = stream.ended = 0
        stream.joined = joined[i]
        stream.source = 0
        stream.touched = tick  # it must not look like the longest silent before its first event
        for detector in range(N_DETECTORS):
            stream.stats[detector] = 0.0
        stream.stats[LEVEL] = -math.inf  # 0 is much, where all that end have less
        ring[row, 0] = PAST if joined[i] else START
        gaps[row, 0] = math.nan
        tally[row] = 0


@_jit
def renumber_rows(streams, n, ids, token_before, ring, tally):
    """Write the tokens of rows `:n` under other numbers into `ring` and `tally`.

    Token t becomes `ids[t]`; what `tally` counts for t is what the old one did for
    `token_before[t]`.
    `Streams.restore` and the vocabulary see to it that no token lies past the end of `ids`.
    """
    state, ring_before, _, tally_before = streams
    for row in range(n):
        for place in range(min(state[row].length, RING)):
            ring[row, place] = ids[ring_before[row, place]]
        for token in range(tally.shape[1]):
            tally[row, token] = tally_before[row, token_before[token]]


@_jit
def silent_rows(state, begin, end, now, idle, found):
    """Look at rows `begin:end` for streams that at time `now` of their source (nan: not known; of
    one that is not there: that of 0) are silent for more than `idle` seconds and have not ended,
    until `found` is full of them.

    Returns the row that comes next, and how many were found.
    """
    room, n = found.shape[0], 0
    for row in range(begin, end):
        if n == room:
            return row, n
        stream = state[row]
        source = stream.source if stream.source < now.shape[0] else 0
        if stream.ended == 0 and stream.length > 1 and now[source] - stream.last > idle:
            found[n] = row
            n += 1
    return end, n


@_jit
def _ask_for(streams, asked, rows, tokens, at):
    """Have what events further on will read and write fetched from memory."""
    state, ring, gaps, tally = streams
    logits, where, sums, width, _ = asked
    if at + 2 * _AHEAD < rows.shape[0]:
        row = rows[at + 2 * _AHEAD]
        prefetch(state, row, 0)
        prefetch(state, row, 64)
    if at + _AHEAD < rows.shape[0]:
        row = rows[at + _AHEAD]
        length = state[row].length
        prefetch(tally, row * tally.shape[1] + tokens[at + _AHEAD], 0)
        prefetch(ring, row * RING + length % RING, 0)
        prefetch(gaps, row * TIMES + length % TIMES, 0)
        entry = where[at + _AHEAD]
        prefetch(sums, 2 * entry, 0)
        prefetch(logits, entry * width + tokens[at + _AHEAD], 0)


@_jit
def observe_rows(
    found, streams, asked, law, rows, tokens, times, idle, block, done, surprisal, entropy, tick
):
    """Score events `done:` in order and feed them to their streams; returns how many are done.
    Events earlier than the one before in their stream are counted beside what is found.

    `idle`: seconds of silence that end a stream (0: never); `block`: seconds of a block of an
    endless stream (0: not endless); `asked`, `law`: see `end_rows`.
    """
    state, ring, gaps, tally = streams
    limits, tails, _, _, kappa = law
    room = found[1].shape[0]
    for i in range(done, rows.shape[0]):
        if found[0][0] + ROOM > room:
            return i
        _ask_for(streams, asked, rows, tokens, i)
        row, token, time = rows[i], tokens[i], times[i]
        stream = state[row]
        if idle > 0.0 and stream.ended == 0 and stream.length > 1 and time - stream.last > idle:
            _end(found, streams, asked, law, i, row, stream.last + idle)
        stream.ended = 0
        if block > 0.0 and not math.isnan(time):
            now = math.floor(time / block)
            if now != stream.blocks:
                stream.blocks = now
                stream.cusum = 0.0
                stream.span = 0
                stream.news = 0
                for d in range(N_DETECTORS):
                    stream.stats[d] = 0.0
        s, h = _surprise(asked, i, token)
        surprisal[i] = s
        entropy[i] = h
        _pass(found, streams, asked, limits, i, row, _EVENT, token, s, s, h, time, _ONE)
        stream.surprise += s
        before = stream.cusum
        cusum = max(0.0, before + s - h - kappa)
        stream.cusum = cusum
        stream.span = stream.span + 1 if cusum > 0.0 else 0
        stream.stats[DRIFT] = max(stream.stats[DRIFT], cusum)
        limit = limits[stream.joined, DRIFT]
        # Once each time it passes the limit, not for every event that it stays above.
        if cusum > limit and before <= limit:
            span = stream.span
            _report(found, streams, asked, i, row, _DRIFT, token, cusum, s, h, time, span)
        if token == NEW:
            stream.news += 1
            many = math.log2(1.0 + stream.news)
            _pass(
                found, streams, asked, limits, i, row, _NEW_DETECTOR, token, many, s, h, time, _ONE
            )
        least = tails[stream.joined]
        rose = cusum > max(before, least[DRIFT, 0])
        if rose or s > least[EVENT, 0] or token == NEW:
            _pass_together(found, streams, asked, limits, tails, i, row, token, s, h, time)
        if tally[row, token] < np.iinfo(np.uint16).max:
            tally[row, token] += 1
        ring[row, stream.length % RING] = token
        if time < stream.last:
            found[0][1] += 1
        known = not math.isnan(time)
        # Since the last event whose time is known; before the first of these there is none.
        gap = time - stream.last if known and not math.isnan(stream.last) else 0.0
        gaps[row, stream.length % TIMES] = gap if known else math.nan
        stream.length += 1
        if known:
            stream.last = time
        stream.touched = tick
    return rows.shape[0]
