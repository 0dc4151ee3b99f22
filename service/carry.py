"""Streams from one model to the next: their events keep their names and get other numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.folder import Model
from ..model.streams import only
from ..model.vocabulary import NEW, SPECIAL
from .arrays import Arrays


@dataclass(frozen=True)
class Carried:
    """What became of the streams."""

    streams: int  # that go on
    left: int  # that begin anew: they count as joined in the middle


def carry(snapshot: Arrays, old: Model, new: Model) -> tuple[Arrays, Carried]:
    """The snapshot of a detector of `old`, for one of `new`; empty if no stream can go on.

    A stream goes on if the new model knows all events that it has had by their names; else it would
    be judged by what neither model says. Its sums of surprisal stay: they are nats to both.
    """
    count = len(snapshot["key_lengths"])
    if old.config.events.stream_key != new.config.events.stream_key:
        return {}, Carried(0, count)  # the same streams will come under other keys
    special = len(SPECIAL)
    ids = np.array([*range(special), *new.vocabulary.ids(old.vocabulary.names[special:])])
    lost = (ids == NEW) & (np.arange(len(ids)) != NEW)
    keep = np.logical_not(np.asarray(snapshot["tally"])[:, lost].any(axis=1))
    # Whoever sends waits meanwhile, so nothing is copied in vain.
    kept = snapshot if keep.all() else only(snapshot, keep)
    # Events that the old model did not know stay so: only their number was kept, not their names.
    moved = np.zeros((int(keep.sum()), len(new.vocabulary)), np.uint16)
    moved[:, ids[~lost]] = kept["tally"][:, ~lost]
    clock = snapshot["clock"].astype(np.float64)
    if not keep.all():
        # One that is left behind may come back, and would have been silent since.
        last = snapshot["last"].astype(np.float64)[~keep]
        clock[0] = np.fmax(clock[0], np.fmax.reduce(last))
    ring = ids.astype(np.uint16)[np.asarray(kept["ring"])]
    carried = Carried(int(keep.sum()), int((~keep).sum()))
    return {**kept, "tally": moved, "ring": ring, "clock": clock}, carried
