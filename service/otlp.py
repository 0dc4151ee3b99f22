"""Requests of OTLP → batches of the service's own; docs/otlp.md says what becomes what."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from ..model.errors import InputError
from ..model.event import EventConfig, well_formed
from . import messages
from .batch import Batch
from .config import BATCH_EVENTS, LINE_CHARACTERS, LOGS_BYTES
from .errors import TooLargeError

_NAMES = ("event.name", "log.record.template")  # attributes that name the event; the first wins
_SOURCES = ("service.instance.id", "host.name", "service.name")  # who speaks; the first wins
_STREAM_CHARACTERS = 1024
_MOST_RECORDS = 4 * BATCH_EVENTS
_LAST = 1 << 64  # past every time


@dataclass(frozen=True)
class Reason:
    """Why a record is rejected; `outcome` is its label among the metrics."""

    outcome: str
    text: str


_EMPTY = Reason("broken", "with neither a body nor an event name")
_LONG = Reason(
    "broken", f"with a body or an event name of more than {LINE_CHARACTERS:,} characters"
)
_LONG_KEY = Reason("unkeyed", f"with a stream key of more than {_STREAM_CHARACTERS:,} characters")


@dataclass(frozen=True)
class Logs:
    """What a request says, a batch for each model, and what it says that cannot be used, by model.

    `timed`: a record has a time, so that no other request is the same.
    """

    batches: tuple[Batch, ...]
    rejected: Mapping[str, Counter[Reason]]
    timed: bool


class _Row(NamedTuple):
    name: str
    line: str
    stream: str
    source: str
    nanos: int


class LogReader:
    """Reads requests for models, given how each of them reads events, the default one first; any
    thread may call `read`.

    `attribute` names what says which model a record is for: an attribute of the record, its scope
    or its resource. Without it the default one is meant.

    `stream` names the attributes that make a record's stream, of the record, its scope or its
    resource. Without any the body has the key, as raw lines have it, or, where the model knows no
    key, the stream is who speaks.
    """

    def __init__(
        self, models: Mapping[str, EventConfig], stream: tuple[str, ...], attribute: str = ""
    ) -> None:
        self._models = models
        self._default = next(iter(models))
        self._attribute = attribute
        self._stream = stream
        self._json = any(events.format == "json" for events in models.values())
        self._of_source = frozenset((*stream, *_SOURCES, *filter(None, [attribute])))
        self._of_record = self._of_source.union(_NAMES)
        self._keyless = Reason(
            "unkeyed", f"without {' and '.join(stream)} among the attributes, which make its stream"
        )
        self._unknown = Reason(
            "unknown_model",
            f"whose {attribute} is no model's name; served are: {', '.join(filter(None, models))}",
        )

    def read(self, data: bytes, *, as_json: bool = False, received: float) -> Logs:
        """The records that can be used, in the order of time, and why others cannot."""
        if as_json:
            request = self._parse_json(data)
        else:
            request = messages.parse(ExportLogsServiceRequest, data, most=LOGS_BYTES)
        count = sum(len(s.log_records) for r in request.resource_logs for s in r.scope_logs)
        if count > _MOST_RECORDS:
            del request  # it is large, and the error's trace would hold it
            raise TooLargeError(
                f"expected at most {_MOST_RECORDS:,} log records in a request, got {count:,}; send "
                "fewer at a time"
            )
        rejected: defaultdict[str, Counter[Reason]] = defaultdict(Counter)
        rows: defaultdict[str, list[_Row]] = defaultdict(list)
        for record, found in self._records(request):
            model = found.get(self._attribute, self._default) if self._attribute else self._default
            if model not in self._models:
                rejected[self._default][self._unknown] += 1
                continue
            row = self._row(record, found, self._models[model])
            if isinstance(row, Reason):
                rejected[model][row] += 1
            else:
                rows[model].append(row)
        used = sum(map(len, rows.values()))
        return Logs(
            batches=tuple(
                self._batch(model, own, received, size=len(data) * len(own) // used)
                for model, own in rows.items()
            ),
            rejected=rejected,
            timed=any(row.nanos for own in rows.values() for row in own),
        )

    def _batch(self, model: str, rows: list[_Row], received: float, *, size: int) -> Batch:
        rows.sort(key=lambda row: row.nanos or _LAST)
        nanos = np.array([row.nanos for row in rows], dtype=np.float64)
        return Batch(
            client="",
            seq=0,
            streams=None
            if self._has_own_key(self._models[model])
            else [row.stream for row in rows],
            names=[row.name for row in rows],
            lines=[row.line for row in rows],
            times=np.where(nanos > 0, nanos / 1e9, np.nan),
            received=received,
            size=size,
            sources=[row.source for row in rows],
            model=model,
        )

    def _parse_json(self, data: bytes) -> ExportLogsServiceRequest:
        """A request in OTLP's JSON. Its ids, in hexadecimal, pass for base64; nobody reads them."""
        try:
            plain = json.loads(data)
            if re.search(rb"\\u[dD][89a-fA-F]", data):  # halves of pairs are no text to protobuf
                plain = json.loads(well_formed(json.dumps(plain, ensure_ascii=False)))
            if not isinstance(plain, dict):
                raise ValueError(f"found {type(plain).__name__} where an object should be")
            if not self._json:
                _prune(plain, self._of_record)
            return ParseDict(plain, ExportLogsServiceRequest(), ignore_unknown_fields=True)
        except (ValueError, RecursionError, ParseError) as error:
            why = str(error)[:200]
        except (TypeError, AttributeError):
            why = "a value is of another kind than OTLP's schema says"
        raise InputError(f"expected an ExportLogsServiceRequest as JSON, got something else: {why}")

    def _records(
        self, request: ExportLogsServiceRequest
    ) -> Iterator[tuple[LogRecord, dict[str, str]]]:
        """Each record with the attributes that matter; its own go before those around it."""
        for group in request.resource_logs:
            resource = _chosen(group.resource.attributes, self._of_source)
            for scoped in group.scope_logs:
                scope = resource | _chosen(scoped.scope.attributes, self._of_source)
                for record in scoped.log_records:
                    yield record, scope | _chosen(record.attributes, self._of_record)

    def _row(self, record: LogRecord, found: dict[str, str], events: EventConfig) -> _Row | Reason:
        name = record.event_name or next((found[n] for n in _NAMES if n in found), "")
        line = _line(record, events)
        if events.format == "sequences":
            name = name or line  # such a model knows events by name
        if not (name or line):
            return _EMPTY
        if len(name) > LINE_CHARACTERS or len(line) > LINE_CHARACTERS:
            return _LONG
        stream = self._key(found, events)
        if stream is None:
            return self._keyless
        if len(stream) > _STREAM_CHARACTERS:
            return _LONG_KEY
        nanos = record.time_unix_nano or record.observed_time_unix_nano
        return _Row(name, line or name, stream, _source(found), nanos)

    def _key(self, found: dict[str, str], events: EventConfig) -> str | None:
        if self._has_own_key(events):
            return ""
        if not self._stream:
            return _source(found)
        parts = [found.get(name, "") for name in self._stream]
        return "|".join(parts) if all(parts) else None

    def _has_own_key(self, events: EventConfig) -> bool:
        return not self._stream and events.stream_key is not None


def _source(found: Mapping[str, str]) -> str:
    return next((found[name] for name in _SOURCES if name in found), "")


def _line(record: LogRecord, events: EventConfig) -> str:
    """The body as a raw line. Where a model reads JSON, a text that is none becomes a field of the
    attributes' object, as in a line of JSON.
    """
    text = _text(record.body)
    if events.format != "json" or text.lstrip().startswith("{"):
        return text
    fields = {events.message: text} if text and events.message else {}
    for pair in record.attributes:
        fields.setdefault(pair.key, _plain(pair.value))
    return json.dumps(fields, ensure_ascii=False) if fields else text


def _prune(request: dict[str, Any], names: frozenset[str]) -> None:
    """Take out of a request in JSON the attributes of records that nobody looks at: most of the
    time to make a message of it is theirs.
    """
    for group in request.get("resourceLogs") or ():
        for scoped in group.get("scopeLogs") or ():
            for record in scoped.get("logRecords") or ():
                pairs = record.get("attributes") or ()
                record["attributes"] = [pair for pair in pairs if pair.get("key") in names]


def _chosen(attributes: Iterable[KeyValue], names: frozenset[str]) -> dict[str, str]:
    found = {pair.key: _text(pair.value) for pair in attributes if pair.key in names}
    return {name: text for name, text in found.items() if text}


def _text(value: AnyValue) -> str:
    """A value as text: what is no text by itself as JSON, and nothing as ""."""
    if value.HasField("string_value"):
        return value.string_value
    plain = _plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    if kind == "bytes_value":
        return value.bytes_value.decode(errors="replace")
    return getattr(value, kind)
