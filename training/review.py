"""The oddest training streams, listed for somebody to judge: incidents among them are left out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from ..model.alert import DETECTORS
from ..model.errors import InputError
from ..model.folder import Model
from ..model.logs import read_lines
from .calibrate import combined
from .config import TrainConfig
from .corpus import read_ids
from .evaluate import most_surprising
from .held_out import Stream

_MOST = 100  # different ones, as somebody is to look at them
_SHARE = 0.1  # of the streams

Record = dict[str, Any]


def oddest(
    model: Model,
    values: Float64[np.ndarray, "streams detectors"],
    streams: Sequence[Stream],
    apart: Bool[np.ndarray, " streams"],
    *,
    every: Iterable[Stream],
    normal: frozenset[str],
) -> list[Record]:
    """The oddest of the `streams` that calibrated, as the decoders saw them that had not learned
    them, and all that were set `apart`; a record each, the oddest first.

    Of those that do the same the first is listed, with the keys of the others among `every` as
    `alike`. Label 1 is what was taken for an incident, 0 for a normal; those called `normal` are
    not listed. The detector and the event are those that find it oddest, the event's surprisal
    being that of the decoder that serves.
    """
    whole = model.calibration.whole
    total, scores = combined(whole, values), whole.score(values)
    most = min(_MOST, int(_SHARE * len(streams)))
    rows: dict[tuple[str | None, ...], int] = {}
    for row in np.argsort(-total, kind="stable").tolist():
        if (len(rows) < most or apart[row]) and streams[row].key not in normal:
            rows.setdefault(tuple(streams[row].names), row)
    alike: dict[int, list[str]] = {row: [] for row in rows.values()}
    for stream in every:
        row = rows.get(tuple(stream.names), -1)
        if row >= 0 and stream.key != streams[row].key and stream.key not in normal:
            alike[row].append(stream.key)
    listed = list(alike)
    detectors = np.where(np.isnan(scores[listed]), -np.inf, scores[listed]).argmax(axis=1)
    places = most_surprising(model, [streams[row] for row in listed])
    return [
        {
            "stream": streams[row].key,
            "label": int(apart[row]),
            "score": round(float(total[row]), 2),
            "detector": DETECTORS[detector],
            "event": streams[row].names[place],
            "position": place + 1,
            "alike": alike[row],
        }
        for row, detector, place in zip(listed, detectors.tolist(), places, strict=True)
    ]


def write_list(
    config: TrainConfig, records: Sequence[Record], report: Callable[[str], None]
) -> None:
    """Write the records, and what was said of earlier ones, as `--exclude` and `--normal` read
    them; the list that was there is kept beside, as somebody may have judged it.
    """
    path = config.out.with_name(f"{config.out.name}.oddest")
    before = frozenset[str]()
    if path.exists():
        with suppress(InputError, UnicodeDecodeError):  # it is none of ours
            before = read_ids(read_lines([path]))
        path.replace(path.with_name(f"{path.name}~"))
    said = [
        *({"stream": key, "label": 1} for key in sorted(before & config.exclude)),
        *({"stream": key, "label": 0} for key in sorted(before & config.normal - config.exclude)),
    ]
    if not records and not said:
        return
    path.write_text(
        "".join(json.dumps(record) + "\n" for record in (*records, *said)), encoding="utf-8"
    )
    if records:
        name = shlex.quote(str(path))
        report(
            f"the {len(records):,} oddest streams are in {path}: look at them, make the label of "
            f"each incident 1 and of each normal 0, and train again with --exclude {name} "
            f"--normal {name}"
        )
