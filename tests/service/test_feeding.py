"""Events on their way into a detector, a piece at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offscript.model.detector import Detector
from offscript.model.folder import load_model
from offscript.service.batch import Rows
from offscript.service.feeding import feed

MOST = 64


def test_who_touches_all_its_streams_at_once_pushes_out_none_of_who_has_fewer(
    tiny_model: Path,
) -> None:
    model = load_model(tiny_model)
    detector = Detector(model, max_streams=MOST)
    name = model.vocabulary.names[-1]
    honest, greedy = ([f"{who}{n}" for n in range(count)] for who, count in (("h", 16), ("g", 48)))

    def send(streams: list[str], sender: int) -> None:
        rows = Rows(streams, [name] * len(streams), np.zeros(len(streams)))
        feed(detector, rows, started=frozenset(), most=MOST, sender=sender)

    send(honest, 1)
    send(greedy, 2)
    send([*greedy, "new"], 2)

    assert set(honest) <= set(detector.known())
    assert "new" in detector.known()
