"""What of a shard outlives the service: its streams, how far each client came, and its time."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field

import numpy as np

from ..model.errors import ModelError
from ..model.streams import SNAPSHOT, only, without_doubles
from .arrays import Arrays

logger = logging.getLogger("offscript")

_ACTIVE_SECONDS = 60.0  # a stream heard of since then probably went on until the service was killed


@dataclass(frozen=True)
class Checkpoint:
    """The state of one shard at one moment."""

    streams: Arrays  # the detector's snapshot, or what of it is in no part; empty if there is none
    clients: dict[str, int] = field(default_factory=dict)  # last batch scored of each
    clocks: dict[str, float] = field(default_factory=dict)  # event time of each, unix seconds

    def arrays(self, owner: str) -> Arrays:
        """All of it, for the store; `owner` names model and shard."""
        return {
            **self.streams,
            "owner": np.array([owner]),
            "clients": np.array(list(self.clients), dtype=np.str_),
            "seqs": np.array(list(self.clients.values()), dtype=np.uint64),
            "clocks": np.array(list(self.clocks), dtype=np.str_),
            "clock_times": np.array(list(self.clocks.values()), dtype=np.float64),
        }


def from_arrays(arrays: Arrays, owner: str, model: str) -> Checkpoint:
    """What a service can go on from: nothing if it was saved by another model or shard than the
    owner; `model` is the name that both have. ModelError if that cannot be known.

    What streams did between the last save and the end of a killed service is not known, and a gap
    would look like an anomaly: those that were active then are left out, so that they count as
    joined in the middle.
    """
    if not arrays:
        return Checkpoint({})
    own = {"owner", "clients", "seqs", "complete", "clocks", "clock_times"}
    lacking = sorted({*own, *SNAPSHOT} - arrays.keys())
    if lacking:
        raise ModelError(f"they lack {', '.join(lacking)}")
    if arrays["owner"].tolist() != [owner]:
        logger.warning(
            "%sthe saved streams belong to another model or number of threads; starting afresh, "
            "all streams count as joined in the middle",
            f"{model}: " if model else "",
        )
        return Checkpoint({})
    streams: Arrays = {name: arrays[name] for name in arrays if name not in own}
    times = arrays["clock_times"].astype(np.float64).tolist()
    clocks = dict(zip(arrays["clocks"].tolist(), times, strict=True))
    if not arrays["complete"][0]:
        streams = without_doubles(streams)
        now = min(clocks.values(), default=math.nan)  # of the slowest client
        silent = np.asarray(streams["last"].astype(np.float64) < now - _ACTIVE_SECONDS)
        # What has changed since `clients` was true would be sent, and counted, again.
        silent &= np.asarray(streams["touched"] <= streams["clock"][2])
        logger.warning(
            "%sthe service before did not stop in good order; %d of its %d streams were active and "
            "count as joined in the middle",
            f"{model}: " if model else "",
            int(np.sum(~silent)),
            len(silent),
        )
        streams = only(streams, silent)
    clients = dict(zip(arrays["clients"].tolist(), arrays["seqs"].tolist(), strict=True))
    return Checkpoint(streams, clients, clocks)
