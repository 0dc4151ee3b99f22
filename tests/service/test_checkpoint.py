"""What of a shard is saved comes back as it was."""

from __future__ import annotations

import numpy as np

from offscript.service.checkpoint import Checkpoint, from_arrays
from offscript.tests.service.conftest import ODD
from offscript.tests.service.engines import Service, raw


def test_senders_are_told_apart_by_all_of_their_names(service: Service) -> None:
    engine = service.engine()
    engine.submit(raw(ODD)).result(30)
    engine.stop()
    arrays = service.store.state("", 0)
    owner = str(arrays["owner"][0])
    streams = from_arrays(arrays, owner, "").streams
    times = {"a": 4.0, "a\0": 5.0, "ä" * 500: 6.0, "": 7.0}
    numbers = {name: at for at, name in enumerate(times, start=1)}
    saved = {**Checkpoint(streams, {}, times, numbers).arrays(owner), "complete": np.array([True])}

    read = from_arrays(saved, owner, "")

    assert read.clocks == times
    assert read.numbers == numbers
