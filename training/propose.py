"""What a user left out, found in the log: format, time, events, and candidates for a stream key."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from statistics import median
from typing import Any

from ..model.errors import InputError, LogError
from ..model.event import EventConfig, EventParser, field_text, field_value
from ..model.logs import detect_format
from ..model.templates import Templates
from ..model.timestamps import find_format, parse_time

_SAMPLE = 5_000  # lines that are looked at
_SHOWN = 120  # characters of a line in a message
_MOST_BROKEN = 0.5
_FEWEST_COVERED = 0.2  # share of the lines that a candidate must be found in

_JOURNAL_FIELDS = {"__CURSOR", "__REALTIME_TIMESTAMP"}  # every record has them
_JOURNAL_LINES = 100  # in which a record begins, though the log begin within another

_EVENT_FIELDS = (
    *("eventName", "event_name", "event.action", "event", "action"),
    *("EventID", "EventId", "event_id", "eventid", "operation", "operationName"),
    *("method", "verb", "type", "kind", "name", "syscall", "template"),
)
_MESSAGE_FIELDS = ("message", "msg", "log", "text", "body", "MESSAGE", "log.message", "Body")
_TIME_FIELDS = (
    *("@timestamp", "timestamp", "eventTime", "time", "ts", "datetime", "date", "event_time"),
    *("created_at", "created", "Timestamp", "__REALTIME_TIMESTAMP", "TimeCreated", "t"),
)
_STREAM_NAMES = re.compile(
    r"(?i)\b(session|trace|request|correlation|transaction|conversation|thread|process|task|job|block|"
    r"container|instance|connection|conn|order|case|pid|tid|sid|uid|user|principal|client|host|"
    r"source_?ip|address|access_?key)"
)

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_GENERAL = (
    _UUID,
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    r"\[(\d+)\]",
)
_PREFIXED = re.compile(r"(?<![\w-])([A-Za-z]{2,20}[_-])-?\d+")
_PREFIXED_UUID = re.compile(rf"(?<![\w-])([A-Za-z]{{2,20}}[_-]){_UUID}")
_ASSIGNED = re.compile(r"(?<![\w.])([A-Za-z_][\w.]{0,30})=(?=[^\s,;=])")
_ASSIGNED_VALUE = r'"?([^\s,;"]+)'
_LABELLED = re.compile(r"(?<![\w.])([A-Za-z]{2,20})(:? |: ?|#)(?=\d)")


def _literal(text: str) -> str:
    """A regular expression for a text; spaces and hyphens, which need no escape, stay legible."""
    return re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)


@dataclass(frozen=True)
class KeyCandidate:
    """A stream key that a log could be split by."""

    key: str  # regular expression, or field of JSON
    streams: int
    events_per_stream: float  # median
    coverage: float  # share of the events that have the key
    example: str  # one value of the key

    def __str__(self) -> str:
        return (
            f"{self.key}  ({self.streams:,} streams of {self.events_per_stream:g} events, "
            f"in {self.coverage:.0%} of the lines, such as {self.example})"
        )


def _fields(record: dict[str, Any], before: str = "", depth: int = 0) -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict) and depth < 4:
            yield from _fields(value, f"{before}{name}.", depth + 1)
        elif isinstance(value, str | int) and not isinstance(value, bool):
            yield before + name


def _records(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The JSON objects of lines; LogError when most lines are none."""
    records, broken, first = [], 0, ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"expected an object, found {type(record).__name__}")
            records.append(record)
        except (ValueError, RecursionError) as error:
            broken += 1
            first = first or f"line {number}: {error}"
    if broken > _MOST_BROKEN * (broken + len(records)):
        raise LogError(
            f"{broken} of {broken + len(records)} lines are no JSON objects ({first}); "
            "give one object a line, or --format text"
        )
    return records


def _json_fields(config: EventConfig, records: list[dict[str, Any]]) -> EventConfig:
    """Fills the fields of event, message and time; InputError when none is to be found."""
    counts = Counter(path for record in records for path in _fields(record))
    common = [path for path, count in counts.items() if 2 * count >= len(records)]

    def first(names: Sequence[str]) -> str | None:
        return next((name for name in names if name in common), None)

    if not config.event and config.message is None:
        event, message = first(_EVENT_FIELDS), first(_MESSAGE_FIELDS)
        if event is not None:
            # The name of an event is one of few; a field with ever new values is a text.
            values = {field_text(field_value(record, event)) for record in records}
            if len(values) > max(20, 0.5 * len(records)):
                event, message = None, message or event
        if event is None and message is None:
            raise InputError(
                "no field of the JSON records looks like an event's name; name one with --event, "
                f"or the text with --message; fields are {', '.join(sorted(common)[:20])}"
            )
        config = replace(
            config, event=(event,) if event else (), message=None if event else message
        )
    else:
        for path in (*config.event, *((config.message,) if config.message else ())):
            if all(field_value(record, path) is None for record in records):
                raise InputError(
                    f"no record has the field {path!r}; fields are {', '.join(sorted(common)[:20])}"
                )
    if config.time is None:
        times = [name for name in (*_TIME_FIELDS, *common) if name in common]
        for name in times:
            if name not in _TIME_FIELDS and not re.search(r"(?i)time|date", name):
                continue
            found = sum(not math.isnan(parse_time(field_value(r, name))) for r in records)
            if 2 * found >= len(records):
                return replace(config, time=name)
    return config


def _refuse_journal(lines: Sequence[str]) -> None:
    """LogError for journald's export format, whose records are a field a line."""
    fields = {line.partition("=")[0] for line in lines[:_JOURNAL_LINES]}
    if fields >= _JOURNAL_FIELDS:
        raise LogError(
            "the log is in journald's export format, in which a record is many lines; write it "
            "with: journalctl -o json"
        )


def discover(
    lines: list[str],
    *,
    stream_key: str | None = None,
    event: Sequence[str] = (),
    message: str | None = None,
    time: str | None = None,
    format: str | None = None,  # noqa: A002 - the name of the option
    masks: Sequence[tuple[str, str]] = (),
) -> EventConfig:
    """How the events of a log are to be read, from a sample of its lines.

    What is given is kept. Raises InputError or LogError, one line, where it cannot be found.
    """
    sample = [line for line in lines[:_SAMPLE] if line.strip()]
    if not sample:
        raise LogError("the log has no lines that are not blank; expected one record a line")
    wants_json = bool(event) or message is not None
    found = format or detect_format(sample)
    if wants_json and found == "text":
        raise InputError("--event and --message name fields of JSON, but the log is plain text")
    config = EventConfig(
        format=found,
        stream_key=stream_key,
        event=tuple(event),
        message=message,
        time=time,
        masks=tuple(masks),
    )
    if found == "json":
        return _json_fields(config, _records(sample))
    if found == "sequences":
        _records(sample)
        return replace(config, stream_key=None)
    _refuse_journal(sample)
    if time is None:
        config = replace(config, time=find_format(sample[:1000]))
    EventParser(config, Templates(()))  # complains about what does not fit
    return config


def _text_keys(lines: Sequence[str]) -> list[str]:
    """Regular expressions that could be stream keys of these lines."""
    prefixes: Counter[str] = Counter()
    for line in lines:
        for kind, pattern in (
            ("uuid", _PREFIXED_UUID),
            ("number", _PREFIXED),
            ("value", _ASSIGNED),
            ("label", _LABELLED),
        ):
            for found in set(pattern.findall(line)):
                name = found if isinstance(found, str) else found[0] + "\0" + found[1]
                prefixes[kind + "\0" + name] += 1
    keys = list(_GENERAL)
    for entry, _ in prefixes.most_common(60):
        kind, name, *rest = entry.split("\0")
        if kind == "uuid":
            keys.append(_literal(name) + _UUID)
        elif kind == "number":
            keys.append(rf"{_literal(name)}-?\d+")
        elif kind == "value":
            keys.append(rf"\b{_literal(name)}=" + _ASSIGNED_VALUE)
        else:
            keys.append(rf"\b{_literal(name)}{_literal(rest[0])}(\d+)\b")
    return keys


def _worth(candidate: KeyCandidate) -> float:
    """How good a key is: covers the lines, gives many streams, of several events each."""
    events = candidate.events_per_stream
    length = min(1.0, math.log(max(events, 1.0)) / math.log(8.0))
    if events > 1000:
        length *= 1000 / events
    many = min(1.0, math.log10(max(candidate.streams, 1)) / 2.0)
    named = 1.3 if _STREAM_NAMES.search(candidate.key) else 1.0
    return candidate.coverage**2 * length * many * named


def propose_stream_key(
    lines: Sequence[str], config: EventConfig, *, fewest: int = 2, most: int = 5
) -> list[KeyCandidate]:
    """Stream keys that the log could be split by, the best first; none if nothing repeats.

    Those that give `fewest` streams go before those that do not.
    """
    if config.format == "sequences":
        return []
    lines = [line for line in lines if line.strip()]
    # The sample is one piece: streams are only seen whole in neighbouring lines.
    if config.format == "json":
        records = _records(lines)
        counts = Counter(path for record in records for path in _fields(record))
        taken = {*config.event, config.message, config.time}
        keys = [path for path, _ in counts.most_common(200) if path not in taken]
    else:
        keys = _text_keys(lines[:_SAMPLE])
    candidates: dict[tuple[int, float, str], KeyCandidate] = {}
    for key in keys:
        events: dict[str, int] = defaultdict(int)
        if config.format == "json":
            covered = 0
            total = len(records)
            for record in records:
                value = field_value(record, key)
                if value not in (None, ""):
                    covered += 1
                    events[field_text(value)] += 1
        else:
            parsed = EventParser(replace(config, stream_key=key), Templates(())).parse(lines)
            total = len(lines) - parsed.continuations
            covered = total - parsed.unkeyed
            for name in parsed.stream:
                events[name] += 1
        if covered < _FEWEST_COVERED * max(total, 1) or len(events) < 2:
            continue
        size = float(median(events.values()))
        if size < 2:
            continue
        example = max(events, key=lambda name: (events[name], name))
        candidate = KeyCandidate(key, len(events), size, covered / total, example)
        # The same streams under two names: the shorter name, unless the other says what it is.
        same = (len(events), size, example)
        if same not in candidates or _worth(candidate) > _worth(candidates[same]):
            candidates[same] = candidate
    ranked = sorted(
        candidates.values(), key=lambda c: (c.streams < fewest, -_worth(c), len(c.key), c.key)
    )
    return ranked[:most]


def explain_no_match(pattern: str, lines: Sequence[str], config: EventConfig) -> str:
    """One line on a stream key that is found nowhere: what the lines look like, what would do.

    `config` is how they are read without a key.
    """
    sample = [line for line in lines[:_SAMPLE] if line.strip()]
    what = "field" if config.format == "json" else "pattern"
    shown = " | ".join(line.strip()[:_SHOWN] for line in sample[:2])
    message = f"the stream key {quote(pattern)} ({what}) is in none of the lines, such as: {shown}"
    candidates = propose_stream_key(sample, config, most=3)
    if candidates:
        return f"{message}; candidates are {'; '.join(str(c) for c in candidates)}"
    return f"{message}; leave out --stream-key to read the log as one endless stream"
