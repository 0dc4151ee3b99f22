"""Held-out streams that are no normals: more lie far out than the others make one expect."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress, pairwise

import numpy as np
from jaxtyping import Bool, Float64

from ..model.calibration import together
from .calibrate import held_out_scores
from .held_out import HeldOut, Stream

_MOST = 0.05  # of the streams
_WIDER = 2.0  # than σ the tail may be; that its far end is twice as wide is nothing to wonder at
_SURE = 12.0  # nats: of 250 spacings one in 600 sets of normals has one so wide
_ALIKE = 2.0  # streams a score that make habits of them
_MOST_APART = 0.03  # of the streams; what more of them do is no incident but a part of the log
_FEWEST = 100  # streams that show what a tail looks like
_OWN = 0.2  # of those that have a thing are outliers: at least seven times their share of all
_HABIT = 0.5  # of the outliers that are odd as others are, too


def outliers(scores: Float64[np.ndarray, " streams"]) -> Bool[np.ndarray, " streams"]:
    """Those above the gap with the most evidence, m (s_m − s_{m+1}) / 2σ, if it is sure.

    s_m is the m-th largest of the different scores. In an exponential tail of the scale σ these
    spacings are independent and exponential with the mean σ (Rényi, 1953); σ is that of the scores
    between the upper fifth and the upper twentieth, (q₉₅ − q₈₀) / log 4. Equal scores count once,
    as streams that are alike come together, and one stream alone is no evidence. Nor is a gap above
    which each score has two streams or more, on average: what many do is a habit, and the scores of
    habits lie apart from one another whatever the tail.
    """
    none = np.zeros(len(scores), np.bool_)
    if len(scores) < _FEWEST:
        return none
    low, high = np.quantile(scores, [1.0 - 4.0 * _MOST, 1.0 - _MOST], method="lower").tolist()
    scale = _WIDER * (high - low) / math.log(4.0)
    if not 0.0 < scale < math.inf:
        return none
    s, streams = (values[::-1] for values in np.unique(scores[scores >= high], return_counts=True))
    m = np.arange(1, len(s))
    evidence = np.where(np.cumsum(streams[:-1]) < _ALIKE * m, m * (s[:-1] - s[1:]) / scale, 0.0)
    evidence[:1] = 0.0
    if not evidence.size or evidence.max() < _SURE:
        return none
    return np.asarray(scores >= s[evidence.argmax()])


def habitual(streams: Sequence[Stream], far: Bool[np.ndarray, " streams"]) -> float:
    """Share of those `far` outside that are odd in nothing but what other streams have done too.

    What is odd about them: events, and pairs of other events one after the other, of which they
    have far more than their share. A rare habit shows the same few again and again; incidents that
    are each unlike the others have some that came once.
    """
    events = _theirs((set(stream.names) for stream in streams), far)

    def pairs(stream: Stream) -> Iterator[tuple[str | None, str | None]]:
        for pair in set(pairwise(("<start>", *stream.names, "<end>"))):
            if events.keys().isdisjoint(pair):
                yield pair

    odd = {**events, **_theirs(map(pairs, streams), far)}
    times = [
        [odd[what] for what in (*stream.names, *pairs(stream)) if what in odd]
        for stream in compress(streams, far)
    ]
    return float(np.mean([bool(some) and min(some) > 1 for some in times]))


def _theirs(
    has: Iterable[Iterable[Hashable]], far: Bool[np.ndarray, " streams"]
) -> dict[Hashable, int]:
    """How many streams have what is theirs: of these a fifth or more lie `far` outside."""
    every, outside = Counter[Hashable](), Counter[Hashable]()
    for what, is_far in zip(has, far.tolist(), strict=True):
        some = list(what)
        every.update(some)
        if is_far:
            outside.update(some)
    return {what: every[what] for what, n in outside.items() if n >= _OWN * every[what]}


def set_apart(
    held: HeldOut,
    streams: Sequence[Stream],
    *,
    count_scale: float,
    normal: Bool[np.ndarray, " streams"] | None = None,
) -> tuple[HeldOut, Bool[np.ndarray, " streams"], Bool[np.ndarray, " streams"]]:
    """What is held out of `streams` without outliers, which of its rows are some, and which only
    have a rare habit; the `normal` are none.

    They are looked for again without those that were found, as their tails may hide others. What a
    stream is says the whole of it: pieces from the middle of normal cases that all go one of a few
    ways are alike by the dozen, and a gap between such groups is no evidence. Nor is one above
    which most streams do the same odd things: it is a rare habit that others will have too, and
    each of them would be a false alert.
    """
    values = held.whole.values
    if normal is None:
        normal = np.zeros(len(values), np.bool_)
    rows = np.arange(len(values))
    habit = np.zeros(len(values), np.bool_)
    while len(rows):
        # An incident comes in one go, too, and is to be in no tail that it is judged by.
        scores = held_out_scores(values[rows], count_scale=count_scale, in_turn=False)
        far = outliers(together(*scores)) & ~normal[rows]
        kept = rows[~far]
        if not far.any() or len(kept) < (1.0 - _MOST_APART) * len(values):
            break
        if habitual([streams[row] for row in rows.tolist()], far) >= _HABIT:
            habit[rows[far]] = True
            break
        rows = kept
    apart = np.ones(len(values), np.bool_)
    apart[rows] = False
    rest = replace(held, whole=held.whole.only(rows), joined=held.joined.only(rows))
    return rest, apart, habit
