"""Log lines as models of all formats read them: text, JSON and ready sequences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from offscript.model.event import EventConfig, EventParser
from offscript.model.templates import Templates

_TEMPLATES = Templates(("session=<*> open", "open", "a <*> of <*>"))
_PARSERS = [
    EventParser(EventConfig("text", r"session=(\w+)", time="iso@0"), _TEMPLATES),
    EventParser(EventConfig("text", r"(\S+)$", time="syslog@0"), _TEMPLATES),
    EventParser(EventConfig("text", time="clock@1", masks=((r"\w+\d", "<*>"),)), _TEMPLATES),
    EventParser(EventConfig("json", "id", ("event", "a.b"), time="t"), _TEMPLATES),
    EventParser(EventConfig("json", "id", message="text", time="t"), _TEMPLATES),
    EventParser(EventConfig("sequences"), _TEMPLATES),
]
SEEDS = [
    b"\x002026-03-02 12:00:00.000 session=0a open\n  at frame\n\n2026-13-02 12:00:00 session=b x",
    b"\x01<34>Oct 11 22:14:15 host su[231]: 'su root' failed for a\nFeb 29 24:59:60 b",
    b"\x02INFO 23:59:59,999 a 12 of 13\nINFO 00:00:00 a1",
    b'\x03{"id": ["a", "b"], "event": "x", "a": {"b": [1, null]}, "t": "2026-03-02T12:00:00Z"}',
    b'\x04{"id": 1, "text": "a 1 of 2", "t": 1772452800000}\n{"id": "\\ud800", "text": 1e999}',
    *(bytes([kind]) + b'{"id":' * 1000 for kind in (3, 4, 5)),
    b'\x05{"id": 1, "events": ["a", null, 1], "t": [1, "2", null]}',
]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Reads the lines behind the first byte, which says for which model."""

    def read(given: bytes) -> None:
        parser = _PARSERS[given[0] % len(_PARSERS) if given else 0]
        lines = given[1:].decode("utf-8", "replace").split("\n")
        parsed = parser.parse(lines)
        rows = len(parsed.line)
        assert len(parsed.stream) == len(parsed.name) == len(parsed.time) == rows
        assert all(0 <= row < len(lines) for row in parsed.line.tolist())
        for stream in parsed.stream:
            stream.encode()  # as text that the store takes

    return read
