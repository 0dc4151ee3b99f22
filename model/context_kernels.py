"""Contexts that came before, compiled by Numba: equal ones are predicted once.

What the decoder predicts depends on the tokens that it reaches back to and on nothing else, and
most streams of a system repeat what others did. A *context* is those tokens; its predictions stay
in an *entry*, one row of logits, until others need the room.

A context is known by h = Σᵢ (tokenᵢ + 1) bⁿ⁻¹⁻ⁱ mod 2⁶¹ − 1 over its n tokens, which moves on by a
token in a few operations (Rabin and Karp), with b drawn anew for each scorer. Two contexts share an
h with a chance of n / 2⁶¹, and whoever does not know b cannot raise it.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types

from .kernels import RING, _jit
from .simd import intrinsic

WAYS = 8  # entries that a context may be in: their keys fill a cache line
PRIME = (1 << 61) - 1
NOWHERE = -(1 << 62)  # no entry: all that there might be are in use
_TAKEN = np.int64(1 << 62)  # in every key, so that none is 0
_MOST_HITS = 255


@intrinsic
def _times(typing, a, b):
    """a b mod 2⁶¹ − 1, of numbers below that."""

    def generate(context, builder, signature, arguments):
        long, wide = ir.IntType(64), ir.IntType(128)
        whole = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        low = builder.and_(builder.trunc(whole, long), ir.Constant(long, PRIME))
        high = builder.trunc(builder.lshr(whole, ir.Constant(wide, 61)), long)
        rest = builder.add(low, high)
        less = builder.sub(rest, ir.Constant(long, PRIME))
        return builder.select(builder.icmp_signed("<", less, ir.Constant(long, 0)), rest, less)

    return types.int64(types.int64, types.int64), generate


@_jit
def _append(h, token, base):
    """The hash with one more token."""
    h = _times(h, base) + np.int64(token) + 1
    return h if h < PRIME else h - PRIME


@_jit
def roll(contexts, reach, h, length, token, oldest):
    """The hash of the context after `token`; past `reach` tokens, `oldest` drops out of it."""
    powers = contexts[0]
    h = _append(h, token, powers[0])
    if length >= reach:
        h -= _times(np.int64(oldest) + 1, powers[1])
        if h < 0:
            h += PRIME
    return h


@_jit
def hash_of(contexts, reach, ring, row, length):
    """The hash of a stream's context: kept from the last block, or taken from its last tokens."""
    powers, hashes, lengths = contexts[0], contexts[5], contexts[6]
    if lengths[row] == length:
        return hashes[row]
    h = np.int64(0)
    for p in range(max(0, length - reach), length):
        h = _append(h, ring[row, p % RING], powers[0])
    return h


@_jit
def key_of(contexts, reach, h, length, phases, d_vocab):
    """The key of a context that ends a stream of `length` tokens.

    Once the stream's beginning is out of reach, where in its ring a stream is decides how sums are
    rounded: it goes into the key as one more token, so that not even the last bit depends on what
    came before. `phases`: cells of the ring; 1 where there is none.
    """
    if length > reach and phases > 1:
        h = _append(h, d_vocab + (length - 1) % phases, contexts[0][0])
    return h + _TAKEN


@_jit
def entry_of(contexts, key, tick):
    """The entry of a context; −1 less that entry if it has to be filled; `NOWHERE` without one.

    `tick`: the block's number; entries that it uses stay. In place of what goes, the entry that has
    been used least goes, and of these the one not used for longest; to have been used counts for
    less with every other that comes.
    """
    _, keys, stamps, hits, _, _, _ = contexts
    if keys.shape[0] == 0:
        return np.int64(NOWHERE)
    first = (key & (keys.shape[0] // WAYS - 1)) * WAYS
    for entry in range(first, first + WAYS):
        if keys[entry] == key:
            stamps[entry] = tick
            hits[entry] = min(hits[entry] + 1, _MOST_HITS)
            return np.int64(entry)
    least = np.int64(-1)
    for entry in range(first, first + WAYS):
        if stamps[entry] == tick:
            continue
        if least < 0 or (hits[entry], stamps[entry]) < (hits[least], stamps[least]):
            least = np.int64(entry)
    if least < 0:
        return np.int64(NOWHERE)
    if hits[least] > 0:
        for entry in range(first, first + WAYS):
            hits[entry] >>= 1
    keys[least] = key
    stamps[least] = tick
    hits[least] = 0
    return -1 - least
