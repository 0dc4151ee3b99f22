"""What of a shard outlives the service: its streams, how far each client came, and its time."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..model.errors import ModelError
from ..model.snapshot import only, without_doubles
from ..model.streams import SNAPSHOT
from .arrays import Arrays
from .clocks import MOST
from .reading import AHEAD_SECONDS

logger = logging.getLogger("offscript")

_ACTIVE_SECONDS = 60.0  # a stream heard of since then probably went on until the service was killed


@dataclass(frozen=True)
class Checkpoint:
    """The state of one shard at one moment."""

    streams: Arrays  # the detector's snapshot, or what of it is in no part; empty if there is none
    clients: dict[str, int] = field(default_factory=dict)  # last batch scored of each
    clocks: Mapping[str, float] = field(default_factory=dict)  # event time of each sender
    numbers: Mapping[str, int] = field(default_factory=dict)  # of the senders, in the streams

    def arrays(self, owner: str) -> Arrays:
        """All of it, for the store; `owner` names model and shard."""
        return {
            **self.streams,
            "owner": np.array([owner]),
            "clients": np.array(list(self.clients), dtype=np.str_),
            "seqs": np.array(list(self.clients.values()), dtype=np.uint64),
            "clocks": _packed(self.clocks),
            "clock_times": np.array(list(self.clocks.values()), dtype=np.float64),
            "clock_numbers": np.array([self.numbers[s] for s in self.clocks], dtype=np.int64),
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
    own = {"owner", "clients", "seqs", "complete", "clocks", "clock_times", "clock_numbers"}
    arrays = _with_numbers(arrays)
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
    latest = time.time() + AHEAD_SECONDS  # an earlier version took every time for true
    last, clock = arrays["last"].astype(np.float64), arrays["clock"].astype(np.float64)
    streams: Arrays = {
        **{name: arrays[name] for name in arrays if name not in own},
        "last": np.minimum(last, latest),
        "clock": np.append(np.minimum(clock[:2], latest), clock[2:]),
    }
    times = arrays["clock_times"].astype(np.float64).tolist()
    senders = _unpacked(arrays["clocks"])
    clocks = dict(zip(senders, times, strict=True))
    numbers = dict(zip(senders, arrays["clock_numbers"].tolist(), strict=True))
    if len(set(numbers.values()) & set(range(1, MOST + 1))) < len(numbers):
        raise ModelError("their senders' numbers are out of bounds, or those of several")
    if not arrays["complete"][0]:
        streams = without_doubles(streams)
        known = [moment for moment in times if not math.isnan(moment)]
        now = np.full(MOST + 1, min(known, default=math.nan))  # of what is nobody's: the slowest
        now[list(numbers.values())] = times
        of = np.clip(streams["source"].astype(np.int64), 0, MOST)
        silent = np.asarray(streams["last"].astype(np.float64) < now[of] - _ACTIVE_SECONDS)
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
    return Checkpoint(streams, clients, clocks, numbers)


def _packed(names: Iterable[str]) -> NDArray[np.uint8]:
    """As JSON: an array of texts loses last NULs, and is as wide for all as for the widest."""
    return np.frombuffer(json.dumps(list(names)).encode(), dtype=np.uint8)


def _unpacked(array: NDArray[np.generic]) -> list[str]:
    names = json.loads(array.tobytes())
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError("their senders have no names")
    return names


def _with_numbers(arrays: Arrays) -> Arrays:
    """What an earlier version saved, which had one time for all: that of the slowest client."""
    if "clock_numbers" in arrays or not {"last", "clocks", "clock_times"} <= arrays.keys():
        return arrays
    senders, at = np.unique(arrays["clocks"][-MOST:], return_index=True)
    times = arrays["clock_times"].astype(np.float64)[-MOST:][at]
    slowest = 1 + int(np.argmin(times)) if len(times) else 0
    return {
        **arrays,
        "clocks": _packed(senders.tolist()),
        "clock_times": times,
        "clock_numbers": np.arange(1, len(times) + 1),
        "source": np.full(len(arrays["last"]), slowest, dtype=np.int32),
    }
