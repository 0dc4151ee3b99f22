"""The decoder's fast incremental twin: the same numbers as decoder.py, in NumPy and Numba."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64, Shaped, UInt16
from numpy.typing import NDArray

from .context_kernels import PRIME, WAYS
from .errors import ModelError
from .forward_kernels import BLOCK, STEPS, forward
from .kernels import RING
from .tables import Tables

# Memory of a scorer that serves, and of one that a few thousand events go through once.
LIVE_BYTES, KNOWN_BYTES = 1 << 30, 1 << 27
FEW_LIVE_BYTES, FEW_KNOWN_BYTES = 64 << 20, 8 << 20

_SLOT = np.dtype(
    [
        ("row", np.int64),  # −1: none
        ("filled", np.int64),  # positions that it is filled up to
        ("tick", np.int64),  # block that used it last
        ("used", np.int64),  # whether it was used since the clock's hand passed
    ]
)


# Logits made flat, which row of them is each event's, what sums up a row, its width, and d_vocab.
Asked = tuple[
    Float32[np.ndarray, " _"],
    Int64[np.ndarray, " block"],
    Float64[np.ndarray, "entries 2"],
    int,
    int,
]


class Scorer:
    """Predicts the events of up to `rows` streams.

    `live_bytes`: for the layer 1 of the streams that needed it last; the others' is done again from
    their tokens. `known_bytes`: for the predictions of contexts that came before; the others are
    computed.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        rows: int,
        live_bytes: int = LIVE_BYTES,
        known_bytes: int = KNOWN_BYTES,
    ) -> None:
        self.tables = t = tables
        reach = t.n_layers * (t.window - 1) + 1
        if reach > RING:
            raise ModelError(
                f"{t.n_layers} layers with a window of {t.window} see further back "
                f"than the {RING} events that a stream keeps; choose a smaller window"
            )
        heads = t.n_heads * t.size
        whole = 2 * t.cells * heads if t.n_layers == 2 else 0  # int16 that a stream's layer 1 takes
        slots = min(max(BLOCK, live_bytes // max(1, 2 * whole)), rows) if whole else 1
        self._live = (
            # Zeroed pages cost nothing until they are touched: slots not used yet are free.
            np.zeros(slots * whole + 1, np.int16),
            np.array([(-1, 0, 0, 0)], _SLOT).repeat(slots),
            np.zeros(0, np.int32),  # slot of a row; −1: none
            np.zeros(1, np.int64),  # the clock's hand
            np.zeros(slots, np.int32),  # slots that were given back: a stack, the warmest on top
            np.zeros(1, np.int64),  # and its height
        )
        entries = _entries(known_bytes, t.width)
        base = secrets.randbelow(PRIME - 2) + 2
        self._contexts: tuple[NDArray[Any], ...] = (
            np.array([base, pow(base, reach, PRIME)]),
            np.zeros(entries, np.int64),  # keys; 0: none
            np.zeros(entries, np.int64),  # block that used it last
            np.zeros(entries, np.uint8),  # how often it was used
            np.zeros((entries + BLOCK + 1, 2)),  # see `log_sum_and_entropy`
            np.zeros(0, np.int64),  # hash of a row's context
            np.zeros(0, np.int64),  # at which length of its stream
        )
        # An entry's row each, one for each event that may find no entry, one for what nobody needs.
        self.logits: Float32[np.ndarray, " _"] = np.zeros(
            (entries + BLOCK + 1) * t.width, np.float32
        )
        steps = BLOCK * (t.window + 1)
        self._plan = (
            *(np.zeros(steps, np.int64) for _ in range(5)),
            np.zeros(BLOCK * 2 * t.window, np.uint16),
        )
        self._spare = (
            np.zeros(BLOCK, np.int64),  # row of an event's logits
            np.zeros(BLOCK, np.bool_),  # whether they are computed in this block
            np.zeros(2, np.int64),  # its events without an entry; all contexts computed so far
        )
        self._work = (
            np.zeros(STEPS * heads, np.float32),
            np.zeros(STEPS * t.columns, np.float32),
            np.zeros(max(t.cells, (t.window + 1) * t.lanes), np.float32),
            np.zeros(STEPS, np.int64),
            np.zeros(STEPS, np.int64),
            np.zeros(STEPS // 4, np.bool_),
        )
        self._blocks = 0

    @property
    def computed(self) -> int:
        """Contexts computed so far, in place of looked up."""
        return int(self._spare[2][1])

    def follow(self, capacity: int) -> None:
        """Let there be as many rows."""
        self._live = (*self._live[:2], _grown(self._live[2], capacity, -1), *self._live[3:])
        *others, hashes, lengths = self._contexts
        self._contexts = (*others, _grown(hashes, capacity, 0), _grown(lengths, capacity, 0))

    def take_over(self, old: Scorer) -> None:
        """Go on in the memory of `old`, where it is as large; only one of the two may go on.

        Whatever lies in it is written anew before it counts. Which slots hold what is not taken
        over, as it goes by `old`'s count of blocks. To give hundreds of megabytes back to the
        system and to touch as many for the first time would hold up whoever waits meanwhile.
        """
        if old._live[0].size == self._live[0].size:
            self._live = (old._live[0], *self._live[1:])
        if old.logits.size == self.logits.size:
            self.logits = old.logits

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
        self._contexts[-1][rows] = 0

    def predict(
        self,
        rows: Int64[np.ndarray, " events"],
        tokens: Int[np.ndarray, " events"],
        state: Shaped[np.ndarray, " rows"],
        ring: UInt16[np.ndarray, "rows ring"],
    ) -> Asked:
        """What is predicted in place of up to `BLOCK` events, before any of them is fed.

        `state` and `ring`: the streams so far, as `Streams` has them. The next call overwrites it.
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
            self._contexts,
            self._blocks,
            self._plan,
            self._work,
            self.logits,
            self._spare,
        )
        return (
            self.logits,
            self._spare[0],
            self._contexts[4],
            self.tables.width,
            self.tables.d_vocab,
        )


def _entries(known_bytes: int, width: int) -> int:
    """Entries that fit: as many sets of `WAYS` as the largest power of two that does; or none."""
    sets = known_bytes // (WAYS * (4 * width + 33))
    return WAYS << (sets.bit_length() - 1) if sets > 0 else 0


def _grown(array: NDArray[Any], capacity: int, fill: int) -> NDArray[Any]:
    """The array, or a longer one that begins with it."""
    if len(array) >= capacity:
        return array
    grown = np.full(capacity, fill, array.dtype)
    grown[: len(array)] = array
    return grown
