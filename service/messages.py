"""Messages of the wire ↔ our columns and dataclasses; everything from outside is checked here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message
from jaxtyping import Float64

from ..interpret.explanation import Explanation
from ..interpret.text import text
from ..model.alert import DETECTORS, Alert
from ..model.coded import Coded
from ..model.errors import InputError
from ..model.folder import Model
from ..model.vocabulary import Vocabulary
from ..protos import detector_pb2 as pb
from .batch import Batch, Outcome
from .config import BATCH_EVENTS, LINE_CHARACTERS, MESSAGE_BYTES
from .errors import FieldError, TooLargeError
from .stored import Filter, StoredAlert

_LONGEST = {"client": 128, "model": 64, "streams": 1024, "names": 65_536, "lines": LINE_CHARACTERS}
_LATEST_MICROS = 253_402_300_800 * 10**6  # the year 10000
_STATUS = {
    pb.STATUS_UNSPECIFIED: "",
    pb.STATUS_OPEN: "open",
    pb.STATUS_NORMAL: "normal",
    pb.STATUS_ANOMALOUS: "anomalous",
    pb.STATUS_SUPPRESSED: "suppressed",
    pb.STATUS_ACKNOWLEDGED: "acknowledged",
    pb.STATUS_RESOLVED: "resolved",
}
_STATUS_OF = {name: status for status, name in _STATUS.items()}
VERDICTS = {
    pb.VERDICT_NORMAL: "normal",
    pb.VERDICT_ANOMALOUS: "anomalous",
    pb.VERDICT_ACKNOWLEDGED: "acknowledged",
    pb.VERDICT_RESOLVED: "resolved",
    pb.VERDICT_OPEN: "open",
}
_VERDICT_OF = {name: verdict for verdict, name in VERDICTS.items()}

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse(kind: type[AnyMessage], data: bytes, *, most: int = MESSAGE_BYTES) -> AnyMessage:
    """The message in `data`; InputError if there is none."""
    if len(data) > most:
        raise TooLargeError(
            f"expected at most {most:,} bytes in a message, got {len(data):,}; send fewer at a time"
        )
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InputError(
            f"expected a {kind.DESCRIPTOR.full_name}, got bytes that are none"
        ) from error


def read_batch(message: pb.EventBatch, *, size: int, received: float) -> Batch:
    """A batch of events, checked; `received` is the time, in unix seconds, that it came in."""
    named, raw = bool(message.name_ix or message.names), bool(message.lines)
    if named and raw:
        raise FieldError("lines", "expected either names or lines in a batch, got both")
    rows = len(message.lines) if raw else len(message.name_ix)
    if rows > BATCH_EVENTS:
        field = "lines" if raw else "name_ix"
        raise FieldError(field, f"expected at most {BATCH_EVENTS} rows in a batch, got {rows}")
    _check_lengths("client", [message.client])
    _check_lengths("model", [message.model])
    keys, names = list(message.streams), list(message.names)
    _check_lengths("streams", keys)
    _check_lengths("names", names)
    lines = list(message.lines)
    _check_lengths("lines", lines)
    streams = None
    if message.stream_ix:
        _check_rows("stream_ix", len(message.stream_ix), rows)
        streams = _coded("stream_ix", message.stream_ix, keys)
    elif not raw and keys:
        streams = Coded(keys, np.zeros(rows, np.int64))
    return Batch(
        client=message.client,
        seq=message.seq,
        streams=streams,
        names=None if raw else _coded("name_ix", message.name_ix, names),
        lines=lines if raw else None,
        times=_times(message, rows),
        received=received,
        started=frozenset(_marked("started", message.started, keys)),
        ended=tuple(dict.fromkeys(_marked("ended", message.ended, keys))),
        want_scores=message.want_scores,
        size=size,
        model=message.model,
    )


def _check_lengths(field: str, texts: Sequence[str]) -> None:
    if not texts:
        return
    longest = max(map(len, texts))
    if longest > _LONGEST[field]:
        raise FieldError(
            field, f"expected at most {_LONGEST[field]} characters, got {longest}; cut it shorter"
        )


def _check_rows(field: str, got: int, rows: int) -> None:
    if got != rows:
        raise FieldError(field, f"expected one entry a row, {rows}, got {got}")


def _coded(field: str, indexes: Sequence[int], dictionary: list[str]) -> Coded[str]:
    index = np.array(indexes, dtype=np.int64)  # ten times as fast as item by item
    most = int(index.max()) if len(index) else -1
    if most >= len(dictionary):
        raise FieldError(field, f"expected indexes below {len(dictionary)}, got {most}")
    return Coded(dictionary, index)


def _marked(field: str, indexes: Sequence[int], dictionary: list[str]) -> Sequence[str]:
    return _coded(field, indexes, dictionary) if indexes else ()  # most batches mark none


def _times(message: pb.EventBatch, rows: int) -> Float64[np.ndarray, " rows"] | None:
    base, deltas = message.base_time_micros, message.time_delta_micros
    if deltas:
        _check_rows("time_delta_micros", len(deltas), rows)
    if not base:
        if any(deltas):
            raise FieldError("base_time_micros", "expected a base for the time deltas, got none")
        return None
    # In floating point nothing overflows, and until the year 2255 nothing is rounded.
    micros = np.full(rows, float(base))
    if deltas:
        micros += np.array(deltas, dtype=np.int64).cumsum(dtype=np.float64)
    if rows and not 0.0 <= micros.min() <= micros.max() < _LATEST_MICROS:
        raise FieldError(
            "time_delta_micros", "expected microseconds of the years 1970 to 9999, got others"
        )
    return micros / 1e6


def write_outcome(seq: int, outcome: Outcome) -> pb.ScoreBatch:
    """The acknowledgement of a batch."""
    return pb.ScoreBatch(
        seq=seq,
        surprisal=() if outcome.surprisal is None else outcome.surprisal.tolist(),
        row=() if outcome.row is None else outcome.row.tolist(),
        alerts=[write_alert(stored) for stored in outcome.alerts],
        events=outcome.events,
        unkeyed=outcome.unkeyed,
        continuations=outcome.continuations,
        broken=outcome.broken,
        repeated_batch=outcome.repeated,
    )


def write_alert(stored: StoredAlert) -> pb.Alert:
    """An alert without its window."""
    alert = stored.alert
    return pb.Alert(
        id=alert.id,
        model=alert.model,
        model_name=alert.model_name,
        stream=alert.stream,
        detector=alert.detector,
        time_micros=micros(alert.time),
        first_seen_micros=micros(alert.first_seen),
        last_seen_micros=micros(alert.last_seen),
        count=alert.count,
        score=alert.score,
        threshold=alert.threshold,
        surprisal=alert.surprisal,
        observed=alert.observed,
        text=alert.text or "",
        expected=alert.expected,
        expected_probability=alert.expected_probability,
        joined=alert.joined,
        position=alert.position,
        unknown=alert.unknown,
        revision=stored.revision,
        status=_STATUS_OF[stored.status],
        feedback=[
            pb.FeedbackEntry(
                verdict=_VERDICT_OF[said.verdict],
                comment=said.comment,
                by=said.by,
                time_micros=micros(said.time),
            )
            for said in stored.feedback
        ],
    )


def micros(seconds: float) -> int:
    """Microseconds of a unix time; 0 for an unknown one."""
    return 0 if math.isnan(seconds) else round(seconds * 1e6)


def read_filter(request: pb.ListAlertsRequest | pb.WatchAlertsRequest) -> Filter:
    """Which alerts a request is about."""
    if request.detector and request.detector not in DETECTORS:
        raise FieldError(
            "detector", f"expected one of {', '.join(DETECTORS)}, got {request.detector[:64]!r}"
        )
    status = ""
    if isinstance(request, pb.ListAlertsRequest):
        if request.status not in _STATUS:
            raise FieldError("status", f"expected a known status, got {request.status}")
        status = _STATUS[request.status]
    return Filter(
        model=request.model if request.HasField("model") else None,
        stream=request.stream if request.HasField("stream") else None,
        detector=request.detector,
        status=status,
        since=request.since_micros / 1e6 if request.since_micros else -math.inf,
    )


def read_revision(request: pb.WatchAlertsRequest) -> int:
    """The revision after which changes are asked for."""
    if request.after_revision >= 1 << 63:  # which no store can look for
        raise FieldError(
            "after_revision",
            f"expected a revision that the service gave, got {request.after_revision}",
        )
    return request.after_revision


def read_page(request: pb.ListAlertsRequest | pb.ListDeedsRequest) -> tuple[int, int | None]:
    """How many entries a page has, and the row before which it begins."""
    if request.page_size > 1000:
        raise FieldError("page_size", f"expected at most 1000, got {request.page_size}")
    token = request.page_token
    if token and not (token.isascii() and token.isdigit() and len(token) < 19):
        raise FieldError("page_token", f"expected the token of a page before, got {token[:64]!r}")
    return request.page_size or 100, int(token) if token else None


def write_explanation(
    explanation: Explanation, alert: Alert, vocabulary: Vocabulary, similar: Sequence[StoredAlert]
) -> pb.Explanation:
    """An explanation: its core as fields, all of it as text and as JSON; and similar alerts."""
    whole = text(explanation)
    sentence = " ".join(whole.split("\n\n", 1)[0].split())  # its first paragraph, unwrapped
    first = explanation.attributions[0] if explanation.attributions else None
    expected = [] if first is None else first.expected
    if first is None:
        evidence = _surplus(explanation, alert, vocabulary)
    else:
        evidence = [
            pb.Evidence(
                name=one.event,
                distance=one.lag,
                time_micros=micros(one.time),
                line=one.line or "",
                value=one.value,
            )
            for one in first.evidence
        ]
    return pb.Explanation(
        alert_id=explanation.alert,
        sentence=sentence,
        total=explanation.total,
        expected=[pb.Expected(name=one.event, probability=one.probability) for one in expected],
        evidence=evidence,
        completeness_error=explanation.completeness_error,
        gap=explanation.gap,
        text=whole,
        json=json.dumps(explanation.to_json()),
        similar=[write_alert(stored) for stored in similar],
    )


def _surplus(explanation: Explanation, alert: Alert, vocabulary: Vocabulary) -> list[pb.Evidence]:
    """Of a counts alert: the events that came more often than expected, where each came last."""
    observed = len(alert.tokens) - 1
    last = {vocabulary.names[t]: at for at, t in enumerate(alert.tokens[:-1])}
    return [
        pb.Evidence(
            name=share.event,
            distance=observed - last[share.event],
            time_micros=micros(alert.times[last[share.event]]),
            line=alert.lines[last[share.event]] or "",
            value=share.value,
        )
        for share in explanation.counts
        if share.count > share.expected and share.event in last
    ]


def write_model(
    model: Model, version: str, *, name: str, served: Iterable[str]
) -> pb.ModelDescription:
    """What is served under a name, without its weights, and the names of all that are."""
    config = model.config
    return pb.ModelDescription(
        sha256=model.sha256,
        version=version,
        format=config.events.format,
        stream_key=config.events.stream_key or "",
        endless=config.streams.endless,
        idle_seconds=config.streams.idle_seconds,
        events=model.vocabulary.names,
        layers=config.decoder.n_layers,
        window=config.decoder.window,
        limits=[
            pb.Limit(detector=name, limit=limit)
            for name, limit in zip(
                DETECTORS, model.calibration.whole.limits().tolist(), strict=True
            )
            if math.isfinite(limit)
        ],
        summary_json=json.dumps(dict(model.summary)),
        name=name,
        served=served,
    )
