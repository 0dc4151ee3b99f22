"""Golden events: some of the held-out ones kept with a model, as the decoder itself scores them.

Whoever is to serve the model scores them by the scorer and compares: a scorer that was changed, a
table that was damaged or a processor that computes otherwise is found before it costs an alert.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int

from ..model.errors import ModelError
from ..model.folder import Model
from ..model.forward_kernels import BLOCK
from ..model.kernels import RING
from ..model.scorer import FEW_KNOWN_BYTES, FEW_LIVE_BYTES, Scorer
from ..model.streams import STATE
from ..model.tables import Tables
from ..model.weights import Weights
from .activations import run
from .directions import surprisal
from .sample import read_windows

Array = np.ndarray

_EVENTS = 1_000  # at most
_NEAR = 1e-2  # nats; the scorer keeps layer 1 in 16 bits, which is worth a twentieth of that
_SHARE = 1e-3  # of a surprisal besides: large logits have large errors


def golden_scores(
    weights: Weights, windows: Sequence[Int[Array, " _"]]
) -> Float32[Array, " predictions"]:
    """Surprisal in nats of each event but the first of a window, by the decoder in float64; of the
    first windows, which were drawn at random.
    """
    exact = weights.astype(np.float64)
    golden = _first(windows, _EVENTS)
    found = [surprisal(run(exact, window[:-1]).logits, window[1:]) for window in golden]
    return np.concatenate([np.zeros(0), *found]).astype(np.float32)


def check_golden(model: Model) -> None:
    """ModelError if the scorer scores a golden event otherwise than the decoder did.

    Models of earlier versions have none.
    """
    golden = model.reference.get("surprisals", np.zeros(0)).astype(np.float64)
    if not len(golden):
        return
    scored = _scored(model.tables, _first(read_windows(model.reference), len(golden)))
    if not np.allclose(scored, golden, rtol=_SHARE, atol=_NEAR):
        worst = int(np.argmax(np.nan_to_num(np.abs(scored - golden), nan=np.inf)))
        raise ModelError(
            f"the model's golden event {worst} scores {scored[worst]:.4f} nats here and "
            f"{golden[worst]:.4f} by the decoder that was trained, expected them within {_NEAR}: "
            "see that this machine computes rightly, or train again with this version"
        )


def _first(windows: Sequence[Int[Array, " _"]], most: int) -> Sequence[Int[Array, " _"]]:
    """The first windows, as many as have no more predictions than that together."""
    sizes = np.cumsum([len(window) - 1 for window in windows])
    return windows[: int(np.searchsorted(sizes, most, side="right"))]


def _scored(tables: Tables, windows: Sequence[Int[Array, " _"]]) -> Float64[Array, " predictions"]:
    """The same as `golden_scores`, by the scorer: a stream for each window."""
    rows = np.repeat(np.arange(len(windows)), [len(window) - 1 for window in windows])
    tokens = np.concatenate([window[1:] for window in windows]).astype(np.int32)
    scorer = Scorer(
        tables, rows=len(windows), live_bytes=FEW_LIVE_BYTES, known_bytes=FEW_KNOWN_BYTES
    )
    scorer.follow(len(windows))
    state, ring = np.zeros(len(windows), STATE), np.zeros((len(windows), RING), np.uint16)
    ring[:, 0], state["length"] = [window[0] for window in windows], 1
    found = []
    for begin in range(0, len(rows), BLOCK):
        block = slice(begin, begin + BLOCK)
        logits, where, sums, width, _ = scorer.predict(rows[block], tokens[block], state, ring)
        at = where[: len(rows[block])]
        found.append(sums[at, 0] - logits[at * width + tokens[block]])
        for row, token in zip(rows[block].tolist(), tokens[block].tolist(), strict=True):
            ring[row, state["length"][row] % RING] = token
            state["length"][row] += 1
    return np.concatenate(found)
