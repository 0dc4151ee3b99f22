"""The decoder over a block of events of many streams, compiled by Numba: logits of each one.

The events of a block are known beforehand, so that only layer 1's keys and values go from event to
event. In a *step* (see plan_kernels.py) layer 0 gathers from the tokens, a matrix turns that into
layer 1's query, key and value and a part of the logits, layer 1 gathers from its cache, and another
matrix turns that into the rest. Steps lie stream by stream, so that while one stream's cache is
read that of the next is on its way from memory.

A step's numbers depend on its stream alone, to the last bit, whatever else is in the block.
"""

from __future__ import annotations

import math

import numpy as np

from .kernels import _jit, log_sum_and_entropy
from .plan_kernels import plan_steps
from .simd import (
    add,
    exp,
    larger,
    largest,
    load4,
    load8,
    multiply,
    multiply_add,
    prefetch,
    repeat,
    spread,
    store,
    subtract,
    total,
)
from .tables import Tables

BLOCK = 1024  # events at a time
STEPS = 64  # steps at a time: what they need stays in the nearest cache
_MASKED = np.float32(-1e30)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LINE = 32  # int16 in a cache line


@_jit
def _gather0(t, plan, begin, end, z, weights):
    """z0: for each step and head Σ_s w_s v(token_s) / (Σ_s w_s + w_sink) over its window."""
    at, size, text = plan[0], plan[1], plan[5]
    heads = t.n_heads * t.size
    for i in range(begin, end):
        n, first = size[i], at[i] + 1 - size[i]
        query = np.int64(text[at[i]])
        for h in range(0, t.lanes, 4):
            sum_ = load4(t.sink0, query * t.lanes + h)
            for s in range(n):
                key = query * t.d_vocab + np.int64(text[first + s])
                near = load4(t.near0, (n - 1 - s) * t.lanes + h)
                weight = multiply(load4(t.weight0, key * t.lanes + h), near)
                sum_ = add(sum_, weight)
                store(weights, s * t.lanes + h, weight)
            store(weights, n * t.lanes + h, sum_)
        for h in range(t.n_heads):
            share = spread(_ONE / weights[n * t.lanes + h])
            for c in range(h * t.size, (h + 1) * t.size, 16):
                a0 = spread(_ZERO)
                a1, b0, b1 = a0, a0, a0
                for s in range(0, n - 1, 2):
                    v = np.int64(text[first + s]) * heads + c
                    w = repeat(weights, s * t.lanes + h)
                    a0 = multiply_add(w, load8(t.value0, v), a0)
                    a1 = multiply_add(w, load8(t.value0, v + 8), a1)
                    v = np.int64(text[first + s + 1]) * heads + c
                    w = repeat(weights, (s + 1) * t.lanes + h)
                    b0 = multiply_add(w, load8(t.value0, v), b0)
                    b1 = multiply_add(w, load8(t.value0, v + 8), b1)
                if n % 2:
                    v = query * heads + c
                    w = repeat(weights, (n - 1) * t.lanes + h)
                    a0 = multiply_add(w, load8(t.value0, v), a0)
                    a1 = multiply_add(w, load8(t.value0, v + 8), a1)
                out = (i - begin) * heads + c
                store(z, out, multiply(add(a0, b0), share))
                store(z, out + 8, multiply(add(a1, b1), share))


@_jit
def _project(z, rows, panels, inner, outer, start, start_at, out, out_at, asked, kept):
    """out[i] = start[i] + z[i] · M for `rows` steps, four at a time; M in panels of 16 columns.

    `start_at`, `out_at`: where a step's row begins in the flat `start` and `out`. Of four steps
    that nobody `asked` for only the columns from `kept[0]` to `kept[1]` are needed.
    """
    for c in range(0, outer, 16):
        panel = c * inner
        for i in range(0, rows, 4):
            if not (asked[i // 4] or kept[0] <= c < kept[1]):
                continue
            s0, s1, s2, s3 = start_at[i], start_at[i + 1], start_at[i + 2], start_at[i + 3]
            a0, b0 = load8(start, s0 + c), load8(start, s0 + c + 8)
            a1, b1 = load8(start, s1 + c), load8(start, s1 + c + 8)
            a2, b2 = load8(start, s2 + c), load8(start, s2 + c + 8)
            a3, b3 = load8(start, s3 + c), load8(start, s3 + c + 8)
            for k in range(inner):
                left, right = load8(panels, panel + 16 * k), load8(panels, panel + 16 * k + 8)
                x = repeat(z, i * inner + k)
                a0, b0 = multiply_add(x, left, a0), multiply_add(x, right, b0)
                x = repeat(z, (i + 1) * inner + k)
                a1, b1 = multiply_add(x, left, a1), multiply_add(x, right, b1)
                x = repeat(z, (i + 2) * inner + k)
                a2, b2 = multiply_add(x, left, a2), multiply_add(x, right, b2)
                x = repeat(z, (i + 3) * inner + k)
                a3, b3 = multiply_add(x, left, a3), multiply_add(x, right, b3)
            o0, o1, o2, o3 = out_at[i], out_at[i + 1], out_at[i + 2], out_at[i + 3]
            store(out, o0 + c, a0)
            store(out, o0 + c + 8, b0)
            store(out, o1 + c, a1)
            store(out, o1 + c + 8, b1)
            store(out, o2 + c, a2)
            store(out, o2 + c + 8, b2)
            store(out, o3 + c, a3)
            store(out, o3 + c + 8, b3)


@_jit
def _gather1(t, plan, begin, end, y, z, cache, scores):
    """z1: keep each step's key and value, and gather Σ_s softmax(q·k_s + ρ | sink)_s v_s.

    A stream's cache: keys in blocks of 8 positions, [cells / 8, heads, 8], then values, [cells,
    heads], position modulo cells. Reading follows its order.
    """
    slots, position, goal = plan[2], plan[3], plan[4]
    heads = t.n_heads * t.size
    whole = 2 * t.cells * heads
    rounded = np.empty(heads, np.int16)
    for i in range(begin, end):
        base, p = slots[i] * whole, position[i]
        values = base + t.cells * heads
        cell = p % t.cells
        query = (i - begin) * t.columns
        for c in range(0, heads, 8):
            store(rounded, c, load8(y, query + heads + c))
            store(cache, values + cell * heads + c, load8(y, query + 2 * heads + c))
        block = base + (cell // 8) * heads * 8 + cell % 8
        for c in range(heads):
            cache[block + 8 * c] = rounded[c]
        if goal[i] < 0:
            continue
        n = min(p + 1, t.cells)
        # While this stream's keys are read the next one's are on their way, and so with values.
        ahead = slots[min(i + 1, end - 1)] * whole
        for h in range(t.n_heads):
            near = (2 * h + 1) * t.cells - 1 - cell
            coming = ahead + h * t.cells * t.size
            for s in range(0, n, 32):
                a, b = load8(t.near1, near + s), load8(t.near1, near + s + 8)
                c, d = load8(t.near1, near + s + 16), load8(t.near1, near + s + 24)
                key = base + s * heads + h * t.size * 8
                for e in range(t.size):
                    q = repeat(y, query + h * t.size + e)
                    a = multiply_add(q, load8(cache, key), a)
                    b = multiply_add(q, load8(cache, key + 8 * heads), b)
                    c = multiply_add(q, load8(cache, key + 16 * heads), c)
                    d = multiply_add(q, load8(cache, key + 24 * heads), d)
                    key += 8
                    prefetch(cache, coming, 0)
                    coming += _LINE
                store(scores, s, a)
                store(scores, s + 8, b)
                store(scores, s + 16, c)
                store(scores, s + 24, d)
            for s in range(n, -(-n // 32) * 32):
                scores[s] = _MASKED
            tops = spread(t.sink1[h])
            for s in range(0, n, 8):
                tops = larger(tops, load8(scores, s))
            top = largest(tops)
            tops = spread(top)
            sums = spread(_ZERO)
            for s in range(0, n, 8):
                weight = exp(subtract(load8(scores, s), tops))
                sums = add(sums, weight)
                store(scores, s, weight)
            share = spread(_ONE / (total(sums) + np.float32(math.exp(t.sink1[h] - top))))
            coming = ahead + t.cells * heads + h * t.cells * t.size
            for c in range(h * t.size, (h + 1) * t.size, 16):
                a = spread(_ZERO)
                b, d, e = a, a, a
                at = values + c
                for s in range(0, n, 2):
                    w = repeat(scores, s)
                    a = multiply_add(w, load8(cache, at), a)
                    b = multiply_add(w, load8(cache, at + 8), b)
                    w = repeat(scores, s + 1)
                    d = multiply_add(w, load8(cache, at + heads), d)
                    e = multiply_add(w, load8(cache, at + heads + 8), e)
                    at += 2 * heads
                    prefetch(cache, coming, 0)
                    coming += _LINE
                store(z, (i - begin) * heads + c, multiply(add(a, d), share))
                store(z, (i - begin) * heads + c + 8, multiply(add(b, e), share))


@_jit
def forward(
    sizes_and_arrays,
    rows,
    tokens,
    order,
    state,
    ring,
    live,
    contexts,
    tick,
    plan,
    work,
    logits,
    spare,
):
    """Have the predictions of a block's events in `logits`, before any of them is fed.

    An event's row of them is `spare[0]`, and what sums them up in `contexts[4]`.
    `sizes_and_arrays`: `Tables`, as a plain tuple, which Numba takes ten times as fast; `state` and
    `ring`: the streams before the block (see streams.py); `tick`: the block's number.
    """
    t = Tables(*sizes_and_arrays)
    z, y, scores, start_at, out_at, asked = work
    steps = plan_steps(t, rows, tokens, order, state, ring, live, contexts, tick, plan, spare)
    at, goal, text = plan[0], plan[4], plan[5]
    sums = contexts[4]
    nobody = sums.shape[0] - 1  # the row for what nobody asks for
    heads = t.n_heads * t.size
    for begin in range(0, steps, STEPS):
        end = min(begin + STEPS, steps)
        n = end - begin
        asked[:] = False
        for i in range(-(-n // 4) * 4):
            inside = i < n
            mine = inside and goal[begin + i] >= 0
            asked[i // 4] |= mine
            start_at[i] = np.int64(text[at[begin + i]]) * t.columns if inside else 0
            out_at[i] = (goal[begin + i] if mine else nobody) * t.width
            if t.n_layers == 2:
                out_at[i] = i * t.columns
        if t.n_layers > 0:
            _gather0(t, plan, begin, end, z, scores)
        first = y if t.n_layers == 2 else logits
        inner = heads if t.n_layers > 0 else 0
        # Of a step that only brings layer 1 up to date, its key and value there.
        kept = (heads, 3 * heads)
        _project(z, n, t.out0, inner, t.columns, t.base, start_at, first, out_at, asked, kept)
        if t.n_layers == 2:
            _gather1(t, plan, begin, end, y, z, live[0], scores)
            for i in range(-(-n // 4) * 4):
                start_at[i] = i * t.columns + 3 * heads
                mine = i < n and goal[begin + i] >= 0
                out_at[i] = (goal[begin + i] if mine else nobody) * t.width
            _project(z, n, t.out1, heads, t.width, y, start_at, logits, out_at, asked, (0, 0))
        for i in range(begin, end):
            if goal[i] >= 0:
                whole, entropy = log_sum_and_entropy(logits, goal[i] * t.width, t.width)
                sums[goal[i], 0], sums[goal[i], 1] = whole, entropy
