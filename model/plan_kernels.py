"""What has to be computed for a block of events, compiled by Numba: steps, stream by stream.

A *step* is one position of one stream. Events whose context came before need none; a stream's
layer 1 then falls behind, and is brought up to date when an event of it does need one.
"""

from __future__ import annotations

import numpy as np

from .context_kernels import NOWHERE, WAYS, entry_of, hash_of, key_of, roll
from .kernels import RING, _jit
from .simd import prefetch


@_jit
def _slot(row, live, tick):
    """The live cache of a row: its own, one that was given back, or that of a row whose turn has
    passed (CLOCK).

    Slots that this block uses are passed over; there are at least as many as it has streams.
    """
    _, slots, slot_of, hand, free, n_free = live
    slot = np.int64(slot_of[row])
    if slot >= 0:
        slots[slot].used = 1
        slots[slot].tick = tick
        return slot
    while slot < 0 and n_free[0] > 0:
        n_free[0] -= 1
        if slots[free[n_free[0]]].row < 0:  # else it was taken by its turn meanwhile
            slot = np.int64(free[n_free[0]])
    if slot < 0:
        slot = hand[0]
        while slots[slot].tick == tick or slots[slot].used:
            if slots[slot].tick != tick:
                slots[slot].used = 0
            slot = (slot + 1) % slots.shape[0]
        hand[0] = (slot + 1) % slots.shape[0]
        if slots[slot].row >= 0:
            slot_of[slots[slot].row] = -1
    slots[slot].row = row
    slots[slot].filled = 0
    slot_of[row] = slot
    slots[slot].used = 1
    slots[slot].tick = tick
    return slot


@_jit
def _ask_for(t, reach, rows, order, state, ring, slot_of, contexts, at):
    """Have what will be read of streams further on fetched from memory."""
    _, keys, stamps, _, _, hashes, lengths = contexts
    if at + 32 < order.shape[0]:
        row = rows[order[at + 32]]
        prefetch(state, row, 0)
        prefetch(slot_of, row, 0)
        prefetch(hashes, row, 0)
        prefetch(lengths, row, 0)
    if at + 16 < order.shape[0]:
        row = rows[order[at + 16]]
        length = state[row].length
        for back in range(1, 66, 32):
            prefetch(ring, row * RING + (length - back) % RING, 0)
        if keys.shape[0] > 0:
            key = key_of(contexts, reach, hashes[row], length, t.cells, t.d_vocab)
            first = (key & (keys.shape[0] // WAYS - 1)) * WAYS
            prefetch(keys, first, 0)
            prefetch(stamps, first, 0)


@_jit
def _look_up(t, reach, row, tokens, order, begin, end, state, ring, contexts, tick, spare):
    """Where the predictions of a stream's events are, or are to be written: `where`, `fresh`.

    Returns the first and the last event (as they lie in `order`) whose context has to be computed,
    −1 if none has.
    """
    where, fresh, counts = spare
    hashes, lengths = contexts[5], contexts[6]
    length = state[row].length
    phases = t.cells if t.n_layers == 2 else 1
    first = last = -1
    h = hash_of(contexts, reach, ring, row, length)
    for i in range(begin, end):
        n = length + i - begin
        entry = entry_of(contexts, key_of(contexts, reach, h, n, phases, t.d_vocab), tick)
        fresh[i] = entry < 0
        if entry < 0:
            counts[1] += 1
            if entry == NOWHERE:
                entry = contexts[1].shape[0] + counts[0]
                counts[0] += 1
            else:
                entry = -1 - entry
            first = i if first < 0 else first
            last = i
        where[order[i]] = entry
        oldest = np.int64(0)
        if n >= reach:
            gone = n - reach
            oldest = np.int64(
                ring[row, gone % RING] if gone < length else tokens[order[begin + gone - length]]
            )
        h = roll(contexts, reach, h, n, tokens[order[i]], oldest)
    hashes[row], lengths[row] = h, length + end - begin
    return first, last


@_jit
def plan_steps(t, rows, tokens, order, state, ring, live, contexts, tick, plan, spare):
    """Write the block's steps into `plan`; returns how many there are.

    `order` sorts `rows` and keeps each stream's events in order. A position that no event asks for,
    but layer 1 of one that does, is a step with −1 in place of where its predictions go.
    """
    at, size, slots, position, goal, text = plan
    where, fresh, counts = spare
    reach = t.n_layers * (t.window - 1) + 1
    counts[0] = 0
    n = 0
    written = 0
    begin = 0
    while begin < order.shape[0]:
        row = rows[order[begin]]
        end = begin
        while end < order.shape[0] and rows[order[end]] == row:
            _ask_for(t, reach, rows, order, state, ring, live[2], contexts, end)
            end += 1
        if contexts[6][row] != state[row].length and live[2][row] >= 0:
            live[1][live[2][row]].filled = 0  # with events that were predicted but never fed
        first, last = _look_up(
            t, reach, row, tokens, order, begin, end, state, ring, contexts, tick, spare
        )
        if first < 0:
            begin = end
            continue
        length = state[row].length
        base = length - 1 - begin  # position less place in `order`
        start = first + base
        slot = np.int64(0)
        if t.n_layers == 2:
            slot = _slot(row, live, tick)
            own = live[1][slot]
            start = min(start, max(own.filled, start + 1 - t.window, 0))
            own.filled = max(own.filled, last + base + 1)
        oldest = max(0, start + 1 - t.window)
        for p in range(oldest, min(length, last + base + 1)):
            text[written + p - oldest] = ring[row, p % RING]
        for p in range(max(length, oldest), last + base + 1):
            text[written + p - oldest] = tokens[order[p - length + begin]]
        for p in range(start, last + base + 1):
            asked = p >= length - 1 and fresh[p - base]
            if asked or t.n_layers == 2:
                at[n] = written + p - oldest
                size[n] = min(p + 1, t.window)
                slots[n] = slot
                position[n] = p
                goal[n] = where[order[p - base]] if asked else -1
                n += 1
        written += last + base + 1 - oldest
        begin = end
    return n
