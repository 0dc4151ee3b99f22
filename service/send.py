"""`offscript send`: logs or standard input, line by line, to a service; also live."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.errors import InputError, LogError, OffscriptError
from ..model.event import EventConfig, EventParser, nothing_read
from ..model.logs import STANDARD_INPUT, detect_format, read_lines
from ..model.templates import Templates
from ..protos import detector_pb2 as pb
from .client import Client
from .credentials import Credentials

_POLL_SECONDS = 0.2
_BLOCK = 1 << 16
_LAST_WORDS_SECONDS = 2.0  # for what was read, when interrupted
_SUSPICIOUS_LINES = 100  # of which none is an event


@dataclass
class Sent:
    """What has been sent and acknowledged so far."""

    lines: int = 0  # read; those of the last moments may not be acknowledged yet
    events: int = 0
    unkeyed: int = 0  # lines without a stream key
    continuations: int = 0  # lines that go on with the record before
    broken: int = 0  # lines that are no JSON object
    alerts: int = 0  # raised, or raised again
    interrupted: bool = False

    @property
    def passed_over(self) -> int:
        """Lines that are acknowledged and no event."""
        return self.unkeyed + self.continuations + self.broken

    def nothing_read(self) -> InputError:
        """The complaint that none of the lines so far is an event."""
        return nothing_read(lines=self.passed_over, unkeyed=self.unkeyed, broken=self.broken)


def send(
    paths: Sequence[Path],
    to: str,
    *,
    model: str = "",
    credentials: Credentials = Credentials(),  # noqa: B008 - it never changes
    follow: bool = False,
    progress: Callable[[Sent], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Sent:
    """Send the lines of logs (`-`: standard input) to the service at `to`, until they end.

    `model` is the name of the one that is to score them; without, the service's default. `follow`
    goes on with what is added to the files, as `tail -F` does. Lines that are sequences (one JSON
    object with `id` and `events` a line) are sent by name. `progress` is called with every
    acknowledgement, `say` once when the service is away, and once when many lines are no events.
    Ctrl-C ends in good order. InputError if in the end no line was an event.
    """
    sent = Sent()
    live, suspicious = follow or STANDARD_INPUT in paths, False

    def acknowledged(reply: pb.ScoreBatch) -> None:
        nonlocal suspicious
        sent.events += reply.events
        sent.unkeyed += reply.unkeyed
        sent.continuations += reply.continuations
        sent.broken += reply.broken
        sent.alerts += len(reply.alerts)
        progress(sent)
        if live and not suspicious and not sent.events and sent.passed_over >= _SUSPICIOUS_LINES:
            suspicious = True  # the end, where this would be an error, may never come
            say(str(sent.nothing_read()))

    def waiting(reason: str) -> None:
        say(f"{reason}; waiting for it")

    client = Client(
        to, model=model, credentials=credentials, acknowledged=acknowledged, waiting=waiting
    )
    try:
        lines = _follow(paths) if follow else read_lines(paths)
        _send_all(client, lines, sent)
        client.flush()
    except KeyboardInterrupt:
        sent.interrupted = True
        client.flush(_LAST_WORDS_SECONDS)
    except OffscriptError:
        client.flush()  # what was read before a log proved to be damaged
        raise
    finally:
        client.close()
    if sent.lines and sent.passed_over == sent.lines:
        raise sent.nothing_read()
    return sent


def _send_all(client: Client, lines: Iterable[str], sent: Sent) -> None:
    lines = iter(lines)
    first = next(lines, None)
    if first is None:
        return
    named = detect_format([first]) == "sequences"
    parser = EventParser(EventConfig("sequences"), Templates(()))
    for line in itertools.chain([first], lines):
        sent.lines += 1
        if named:
            _send_sequence(client, parser, line, sent.lines)
        else:
            client.line(line)


def _send_sequence(client: Client, parser: EventParser, line: str, number: int) -> None:
    """One whole stream, with its beginning and its end."""
    parsed = parser.parse([line])
    if parsed.broken:
        why = parsed.first_broken.partition(": ")[2]
        raise InputError(
            f'line {number}: expected {{"id": …, "events": […]}} like the first line: {why}'
        )
    for index, (name, stream) in enumerate(zip(parsed.name, parsed.stream, strict=True)):
        moment = float(parsed.time[index])
        known = None if math.isnan(moment) else moment
        client.event(name or "", stream=stream, time=known, started=index == 0)
    for stream in parsed.stream[:1]:
        client.end(stream)


def _follow(paths: Sequence[Path]) -> Iterator[str]:
    """The lines of growing files, for ever; a file that is replaced is read from its beginning."""
    tails = [_Tail(path) for path in paths]
    while True:
        grown = False
        for tail in tails:
            for line in tail.lines():
                grown = True
                yield line
        if not grown:
            time.sleep(_POLL_SECONDS)


class _Tail:
    """One growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._open()

    def lines(self) -> Iterator[str]:
        """The complete lines that were added since the last call."""
        while block := self._file.read(_BLOCK):
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").rstrip("\r")
        if self._is_replaced():
            if self._rest:
                yield self._rest.decode(errors="replace")
            self._rest = b""
            self._file.close()
            self._open()

    def _open(self) -> None:
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise LogError(f"cannot follow {self._path}: {error.strerror}") from error

    def _is_replaced(self) -> bool:
        try:
            now = self._path.stat()
        except OSError:
            return False  # between two files; look again later
        then = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or (
            now.st_size < self._file.tell()
        )
