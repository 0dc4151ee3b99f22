"""Lines → events: stream key, event name and time of each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int32

from .coded import Coded
from .errors import InputError
from .keys import Keys, compile_expression
from .templates import UNSEEN, Templates
from .timestamps import TimeReader, parse_time

if TYPE_CHECKING:
    from .shapes import Shapes

FORMATS = ("text", "json", "sequences")


@dataclass(frozen=True)
class EventConfig:
    """How an event is read."""

    format: str = "text"
    # Text: a regular expression, whose group 1 (else the whole match) is the key. JSON: a field.
    # None: all events are one endless stream.
    stream_key: str | None = None
    event: tuple[str, ...] = ()  # JSON: fields whose values, joined by "|", are the event's name
    message: str | None = None  # JSON: the field whose text is made a template instead
    time: str | None = None  # JSON: a field. Text: the name of a time stamp's format
    masks: tuple[tuple[str, str], ...] = ()  # text: (regular expression, replacement)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"unknown format {self.format!r}: expected {', '.join(FORMATS)}")
        key = self.stream_key if self.format == "text" else None
        if key is not None and compile_expression(key, "stream key").search(""):
            raise InputError(
                f"stream key {quote(key)} also matches an empty text, so every line would have it: "
                "ask for one character at least, with + instead of *"
            )
        for pattern, replacement in self.masks:
            try:
                compile_expression(pattern, "mask").sub(replacement, "")
            except (re.error, IndexError) as error:
                raise InputError(f"mask's replacement {quote(replacement)}: {error}") from None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> EventConfig:
        masks = tuple((pattern, replacement) for pattern, replacement in value["masks"])
        return cls(**{**value, "event": tuple(value["event"]), "masks": masks})


@dataclass(frozen=True)
class Parsed:
    """Columns, one row an event. A line may give none, one or several."""

    line: Int32[np.ndarray, "events"]  # index of the line that the event came from
    stream: Sequence[str]  # key; "" for the endless stream
    name: Sequence[str | None]  # event's name or template; None is an unseen template
    time: Float64[np.ndarray, "events"]  # Unix seconds, nan where there is none
    unkeyed: int = 0  # lines passed over because they hold no stream key
    continuations: int = 0  # lines passed over because they go on with the record before
    broken: int = 0  # lines passed over because they are no JSON object
    first_broken: str = ""  # which line that was, and why


def nothing_read(*, lines: int, unkeyed: int, broken: int) -> InputError:
    """The complaint about a log in which a model finds no event at all."""
    rest = lines - unkeyed - broken
    kinds = {
        "without its stream key": unkeyed,
        "no JSON objects": broken,
        "blank or without a time stamp": rest,
    }
    found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    return InputError(
        f"no line is an event to this model: {found}; give the kind of log that it was trained on"
    )


def well_formed(text: str) -> str:
    """The text with `?` for halves of surrogate pairs, which only JSON's escapes can carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def field_value(record: Any, path: str) -> Any:
    """Value of a dotted field; None if it is missing. At each level the longest key goes first, as
    keys may have dots in them.
    """
    if not isinstance(record, dict):
        return None
    if path in record:
        return record[path]
    end = path.rfind(".")
    while end >= 0:
        inner = record.get(path[:end])
        if inner is not None:
            value = field_value(inner, path[end + 1 :])
            if value is not None:
                return value
        end = path.rfind(".", 0, end)
    return None


def field_text(value: Any) -> str:
    """A field's value as part of a name; "-" if it is missing."""
    if value is None:
        return "-"
    return well_formed(value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def read_sequence(record: Any) -> tuple[str, list[str], list[float]]:
    """Key, names and times (nan where there are none) of a stream; ValueError if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {type(record).__name__}")
    events, times = record.get("events"), record.get("t")
    if "id" not in record or not isinstance(events, list):
        raise ValueError('expected {"id": …, "events": […]}')
    if times and (not isinstance(times, list) or len(times) != len(events)):
        raise ValueError(f"expected {len(events)} times in 't', one for each event")
    return (
        field_text(record["id"]),
        [field_text(event) for event in events],
        [parse_time(moment) for moment in times] if times else [math.nan] * len(events),
    )


def _any_breaks(lines: Sequence[str]) -> bool:
    """Whether a line holds a line end."""
    return "\n".join(lines).count("\n") != max(0, len(lines) - 1)


def _take(kept: list[int], *columns: Sequence[Any]) -> list[list[Any]]:
    """Some rows of columns."""
    return [[column[row] for row in kept] for column in columns]


def _merged(one: Parsed, other: Parsed, rows: Sequence[int]) -> Parsed:
    """The events of both, in the order of lines; the other's are those of some rows."""
    if not len(other.line):
        return replace(other, line=one.line, stream=one.stream, name=one.name, time=one.time)
    line = np.concatenate((one.line, np.array(rows, dtype=np.int32)[other.line]))
    order = np.argsort(line, kind="stable")
    streams = Coded.joined([Coded.of(one.stream), Coded.of(other.stream)])
    names = Coded.joined([Coded.of(one.name), Coded.of(other.name)])
    time = np.concatenate((one.time, other.time))
    return replace(
        other,
        line=line[order],
        stream=streams.take(order),
        name=names.take(order),
        time=time[order],
    )


class _Rows:
    """Events on their way to becoming columns."""

    def __init__(self) -> None:
        self.line: list[int] = []
        self.stream: list[str] = []
        self.time: list[float] = []
        self.text: list[str] = []  # what is made a template, one entry an event
        self.unkeyed = 0
        self.continuations = 0
        self.broken = 0
        self.first_broken = ""


class EventParser:
    """Lines → events, in the way of one model; the same in training and in serving.

    Not thread-safe: the time stamp before is remembered where stamps have no year.
    """

    def __init__(self, config: EventConfig, templates: Templates) -> None:
        self.config = config
        self.templates = templates
        text = config.format == "text"
        self._keys = Keys(config.stream_key) if text and config.stream_key is not None else None
        self._time = TimeReader(config.time) if text and config.time is not None else None
        self._masks = [(re.compile(pattern), replacement) for pattern, replacement in config.masks]
        self.one_pass = self._new_shapes() if text else None

    def _new_shapes(self) -> Shapes | None:
        """What reads lines in one pass, where the order of lines says nothing and all is steps."""
        steps = None if self._keys is None else self._keys.steps
        keyed = self._keys is not None and steps is None
        if self._masks or self.depends_on_the_line_before or keyed:
            return None
        from .shapes import Shapes  # half a second for Numba, which `--help` need not wait

        return Shapes(self._time, steps, self.templates)

    def parse(self, lines: Sequence[str]) -> Parsed:
        """The events of lines. Lines that cannot be read are passed over and counted."""
        if self.one_pass is None:
            return self._parse(lines)
        read = self.one_pass.read(lines)
        known = Parsed(read.line.astype(np.int32), read.stream, read.name, read.time)
        if not read.others:
            return known
        return _merged(known, self._parse([lines[row] for row in read.others]), read.others)

    def _parse(self, lines: Sequence[str]) -> Parsed:
        rows = self._read(lines)
        if self._templated:
            texts = self.templates.texts
            known = self.templates.match_all(rows.text)
            names = [None if template == UNSEEN else texts[template] for template in known]
        else:
            names = [name or None for name in rows.text]
        return Parsed(
            line=np.array(rows.line, dtype=np.int32),
            stream=rows.stream,
            name=names,
            time=np.array(rows.time, dtype=np.float64),
            unkeyed=rows.unkeyed,
            continuations=rows.continuations,
            broken=rows.broken,
            first_broken=rows.first_broken,
        )

    @property
    def depends_on_the_line_before(self) -> bool:
        """Whether a time stamp may leave open what the one before it says."""
        return self._time is not None and self._time.guesses

    def texts(self, lines: Sequence[str]) -> list[str]:
        """What templates are learned from: the text of each event; none where names are ready."""
        return self._read(lines).text if self._templated else []

    @property
    def _templated(self) -> bool:
        return self.config.format == "text" or self.config.message is not None

    def _read(self, lines: Sequence[str]) -> _Rows:
        rows = _Rows()
        if self.config.format == "text":
            self._read_text(lines, rows)
        else:
            read = self._json_event if self.config.format == "json" else self._sequence
            for number, line in enumerate(lines):
                if not line.strip():
                    rows.continuations += 1
                    continue
                try:
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise ValueError(f"expected an object, found {type(record).__name__}")
                    read(number, record, rows)
                except (ValueError, RecursionError) as error:
                    rows.broken += 1
                    rows.first_broken = rows.first_broken or f"line {number + 1}: {error}"
        return rows

    def _read_text(self, lines: Sequence[str], rows: _Rows) -> None:
        """All lines step by step, not line by line: most of a step runs in C."""
        texts = [line.replace("\n", " ") for line in lines] if _any_breaks(lines) else lines
        at: Sequence[int] = range(len(texts))  # the lines that are left
        moments = [math.nan] * len(texts)
        if self._time is not None:
            at, moments, texts = self._time.read(texts)
        texts = list(map(str.strip, texts))
        if not all(texts):
            kept = [row for row, text in enumerate(texts) if text]
            at, moments, texts = _take(kept, at, moments, texts)
        rows.continuations += len(lines) - len(texts)
        keys = [""] * len(texts)
        if self._keys is not None:
            own, keys, texts = self._keys.find(texts)
            rows.unkeyed += len(texts) - len(set(own))
            if own != list(range(len(texts))):
                at, moments, texts = _take(own, at, moments, texts)
        for mask, replacement in self._masks:
            texts = [mask.sub(replacement, text) for text in texts]
        rows.line += at
        rows.stream += keys
        rows.time += moments
        rows.text += texts

    def _json_event(self, number: int, record: dict[str, Any], rows: _Rows) -> None:
        config = self.config
        keys = [""]
        if config.stream_key is not None:
            value = field_value(record, config.stream_key)
            values = value if isinstance(value, list) else [value]
            keys = list(dict.fromkeys(field_text(v) for v in values if v not in (None, "")))
            if not keys:
                rows.unkeyed += 1
                return
        if config.message is not None:
            value = field_value(record, config.message)
            text = field_text(value) if value is not None else ""
            for mask, replacement in self._masks:
                text = mask.sub(replacement, text)
        else:
            values = [field_value(record, path) for path in config.event]
            missing = all(value is None for value in values)
            text = "" if missing else "|".join(field_text(value) for value in values)
        moment = math.nan
        if config.time is not None:
            moment = parse_time(field_value(record, config.time))
        for key in keys:
            rows.line.append(number)
            rows.stream.append(key)
            rows.time.append(moment)
            rows.text.append(text)

    def _sequence(self, number: int, record: dict[str, Any], rows: _Rows) -> None:
        key, names, times = read_sequence(record)
        rows.line += [number] * len(names)
        rows.stream += [key] * len(names)
        rows.time += times
        rows.text += names
