"""Streams from one model to the next: their events keep their names and get other numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from ..model.detector import Detector
from ..model.vocabulary import SPECIAL


@dataclass(frozen=True)
class Carried:
    """What became of the streams."""

    streams: int  # that go on
    left: int  # that begin anew: they count as joined in the middle


def carry(old: Detector, new: Detector) -> Int64[np.ndarray, " lost"]:
    """Have `new` go on where `old` is, or `old` itself if it is called first; returns the rows of
    streams that cannot go on, for `new` to forget.

    A stream goes on if the new model knows all events that it has had by their names; else it would
    be judged by what neither model says. Its sums of surprisal stay: they are nats to both.
    """
    if old.model.config.events.stream_key != new.model.config.events.stream_key:
        return np.zeros(0, np.int64)  # the same streams will come under other keys
    special, names = len(SPECIAL), old.model.vocabulary.names
    ids = np.array([*range(special), *new.model.vocabulary.ids(names[special:])], dtype=np.uint16)
    return new.take_over(old, ids)
