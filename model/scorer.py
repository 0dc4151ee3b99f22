"""The decoder's fast incremental twin: the same numbers as decoder.py, in NumPy and Numba."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int, Int64, Shaped, UInt16

from .forward_kernels import BLOCK, STEPS, forward
from .kernels import RING
from .tables import tables
from .weights import Weights

_SLOT = np.dtype(
    [
        ("row", np.int64),  # −1: none
        ("filled", np.int64),  # positions that it is filled up to
        ("tick", np.int64),  # block that used it last
        ("used", np.int64),  # whether it was used since the clock's hand passed
    ]
)


class Scorer:
    """Predicts the events of up to `rows` streams; layer 1 is kept for as many as fit in `bytes_`.

    Streams whose layer 1 is not kept, because others came more lately, have it done again from
    their tokens.
    """

    def __init__(self, weights: Weights, *, rows: int, bytes_: int = 1 << 30) -> None:
        if weights.n_layers * (weights.window - 1) + 1 > RING:
            raise ValueError(
                f"{weights.n_layers} layers with a window of {weights.window} see further back "
                f"than the {RING} events that a stream keeps; choose a smaller window"
            )
        self.tables = t = tables(weights)
        heads = t.n_heads * t.size
        whole = 2 * t.cells * heads if t.n_layers == 2 else 0  # int16 that a stream's layer 1 takes
        slots = min(max(BLOCK, bytes_ // max(1, 2 * whole)), rows) if whole else 1
        self._live = (
            # Zeroed pages cost nothing until they are touched: slots not used yet are free.
            np.zeros(slots * whole + 1, np.int16),
            np.array([(-1, 0, 0, 0)], _SLOT).repeat(slots),
            np.zeros(0, np.int32),  # slot of a row; −1: none
            np.zeros(1, np.int64),  # the clock's hand
            np.zeros(slots, np.int32),  # slots that were given back: a stack, the warmest on top
            np.zeros(1, np.int64),  # and its height
        )
        steps = BLOCK * (t.window + 1)
        self._plan = (
            *(np.zeros(steps, np.int64) for _ in range(5)),
            np.zeros(BLOCK * 2 * t.window, np.uint16),
        )
        self._work = (
            np.zeros(STEPS * heads, np.float32),
            np.zeros(STEPS * t.columns, np.float32),
            np.zeros(max(t.cells, (t.window + 1) * t.lanes), np.float32),
            np.zeros(STEPS, np.int64),
            np.zeros(STEPS, np.int64),
        )
        self.logits: Float32[np.ndarray, " _"] = np.zeros((BLOCK + 1) * t.width, np.float32)
        self._blocks = 0

    def follow(self, capacity: int) -> None:
        """Let there be as many rows."""
        slot_of = self._live[2]
        if len(slot_of) < capacity:
            grown = np.full(capacity, -1, np.int32)
            grown[: len(slot_of)] = slot_of
            self._live = (*self._live[:2], grown, *self._live[3:])

    def rest(self, rows: Int64[np.ndarray, " rows"]) -> None:
        """Let go of the layer 1 of rows that are over, or that another stream will take."""
        _, slots, slot_of, _, free, n_free = self._live
        own = slot_of[rows]
        own = own[own >= 0]
        slots["row"][own] = -1
        slot_of[rows] = -1
        own = own[: len(free) - n_free[0]]
        free[n_free[0] : n_free[0] + len(own)] = own
        n_free += len(own)

    def predict(
        self,
        rows: Int64[np.ndarray, " events"],
        tokens: Int[np.ndarray, " events"],
        state: Shaped[np.ndarray, " rows"],
        ring: UInt16[np.ndarray, "rows ring"],
    ) -> Float32[np.ndarray, " _"]:
        """Logits of up to `BLOCK` events, [events, width] made flat, before any of them is fed.

        `state` and `ring`: the streams so far, as `Streams` has them. The logits are overwritten by
        the next call.
        """
        self._blocks += 1
        order = np.argsort(rows, kind="stable")
        forward(
            tuple(self.tables),
            rows,
            tokens,
            order,
            state,
            ring,
            self._live,
            self._blocks,
            self._plan,
            self._work,
            self.logits,
        )
        return self.logits
