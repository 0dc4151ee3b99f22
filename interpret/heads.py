"""Every head read: its role, what it looks for, what it makes of that, where it mattered most."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ..model.vocabulary import PAST, START
from .activations import run
from .card import Head, Looked, Quantile, Ribbon
from .circuits import ov_circuits, positivity, qk_circuits
from .naming import Reading, among, directions, largest_cells
from .roles import by_role, repeated_windows, repeating, role, role_scores
from .work import Moment, notable_moments

Array = np.ndarray

_LOOKS = 6
_MOMENTS = 3
_QUANTILES = (0.99, 0.9, 0.75, 0.5, 0.25, 0.1, 0.01)
_RIBBON = 8  # events of a ribbon


def read_heads(reading: Reading, shown: Int[Array, " shown"]) -> tuple[Head, ...]:
    """All heads, layer 0 first; tables over the events `shown`."""
    weights, windows = reading.weights, reading.sample.windows
    repeats = repeating(windows)
    on_windows, shares = role_scores(weights, [window[:-1] for window in windows])
    on_repeats, _ = role_scores(weights, repeated_windows(repeats, weights.window))
    moments = notable_moments(
        weights, reading.reference, reading.sample, most=_MOMENTS, quantiles=_QUANTILES
    )
    last, following = reading.as_last(), reading.as_next()
    heads = []
    # Virtual heads come last in the OV circuits, and have no QK circuit of their own.
    for index, (ov, qk) in enumerate(zip(ov_circuits(weights), qk_circuits(weights), strict=False)):
        layer, head = divmod(index, weights.n_heads)
        moved = ov.centred(reading.reference.last)
        sought = qk.row_centred(reading.reference.last)
        heads.append(
            Head(
                name=ov.name,
                role=role(on_windows[index], shares[index]),
                on_windows=by_role(on_windows[index]),
                on_repeats=by_role(on_repeats[index]),
                copying=positivity(moved),
                copying_repeats=positivity(moved.among(repeats)) if len(repeats) else None,
                distance=tuple(weights.rho[layer, head].tolist()),
                sink=float(weights.sink[layer, head]),
                looks=_looks(reading, index),
                brings=largest_cells(reading.names, moved, last, following),
                seeks=largest_cells(reading.names, sought, last, last),
                ov=among(moved, shown),
                qk=among(sought, shown),
                ov_directions=directions(reading.names, moved, last, following),
                qk_directions=directions(reading.names, sought, last, last),
                moments=tuple(_ribbon(reading, index, moment) for moment in moments[ov.name].top),
                quantiles=tuple(
                    Quantile(below, _ribbon(reading, index, moment))
                    for below, moment in moments[ov.name].at
                ),
            )
        )
    return tuple(heads)


def _looks(reading: Reading, path: int) -> tuple[Looked, ...]:
    """The pairs of events on which the head spent most attention in the windows."""
    attention = reading.sample.attention
    mean = attention.mean[path]
    spent = np.where(np.isin(attention.seen, (START, PAST)), 0.0, attention.times * mean)
    return tuple(
        Looked(
            looks=reading.names[attention.looking[pair]],
            at=reading.names[attention.seen[pair]],
            attention=float(mean[pair]),
            times=int(attention.times[pair]),
        )
        for pair in np.argsort(-spent, kind="stable")[:_LOOKS].tolist()
        if spent[pair] > 0.0
    )


def _ribbon(reading: Reading, index: int, moment: Moment) -> Ribbon:
    window = reading.sample.windows[moment.window]
    layer, head = divmod(index, reading.weights.n_heads)
    tokens = window[: moment.row + 1]
    pattern = run(reading.weights, tokens).layers[layer].pattern[head, -1]
    first = max(0, len(tokens) - _RIBBON)
    return Ribbon(
        gain=moment.gain,
        before=tuple(reading.names[token] for token in tokens[first:]),
        read=tuple(pattern[first:].tolist()),
        followed=reading.names[window[moment.row + 1]],
    )
