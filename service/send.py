"""`offscript send`: logs or standard input, line by line, to a service; also live."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.errors import InputError, OffscriptError
from ..model.event import EventConfig, EventParser, nothing_read
from ..model.logs import STANDARD_INPUT, detect_format, read_lines
from ..model.templates import Templates
from ..protos import detector_pb2 as pb
from .client import Client
from .credentials import Credentials
from .position import Position
from .tail import Followed, added_lines

# Longer than a service takes to start again, and than most are moved in; no longer, as who writes
# into a pipe that nobody reads stands still.
_DROP_SECONDS = 60.0
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
    dropped: int = 0  # lines for which there was no room in time, or no acknowledgement
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
    position: Path | None = None,
    drop_seconds: float | None = None,
    progress: Callable[[Sent], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Sent:
    """Send the lines of logs (`-`: standard input) to the service at `to`, until they end.

    `model` is the name of the one that is to score them; without, the service's default. `follow`
    goes on with what is added to the files, as `tail -F` does, and with a file for `position` where
    the run before left off. From a pipe, lines are dropped when nothing was acknowledged for
    `drop_seconds` and there is no room for more. Lines that are sequences (one JSON object with
    `id` and `events` a line) are sent by name. `progress` is called with every acknowledgement,
    `say` when the service is away, when lines are dropped, and once when many are no events. Ctrl-C
    ends in good order. InputError if in the end no line was an event.
    """
    _check(paths, follow, position, drop_seconds)
    sent = Sent()
    piped, suspicious = STANDARD_INPUT in paths, False
    live = follow or piped
    patience = math.inf
    if piped:
        patience = _DROP_SECONDS if drop_seconds is None else drop_seconds

    kept = None if position is None else Position(position, say)

    def acknowledged(reply: pb.ScoreBatch) -> None:
        nonlocal suspicious
        if kept is not None:
            kept.acknowledged(reply.seq)
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
        to,
        model=model,
        credentials=credentials,
        acknowledged=acknowledged,
        waiting=waiting,
        sending=(lambda _: None) if kept is None else kept.sending,
        again=() if kept is None else kept.batches(model),
    )
    room = _Room(client, patience, sent, say)
    try:
        lines = _growing(paths, kept, say) if follow else read_lines(paths)
        _send_all(client, lines, sent, room, named=kept is None)
        room.flush()
    except KeyboardInterrupt:
        sent.interrupted = True
        if not client.flush(_LAST_WORDS_SECONDS) and kept is None:
            sent.dropped += client.unacknowledged
    except OffscriptError:
        room.flush()  # what was read before a log proved to be damaged
        raise
    finally:
        client.close()
        if kept is not None:
            kept.close()
    if sent.lines and sent.passed_over == sent.lines:
        raise sent.nothing_read()
    return sent


def _check(
    paths: Sequence[Path], follow: bool, position: Path | None, drop_seconds: float | None
) -> None:
    if follow and STANDARD_INPUT in paths:
        raise InputError("--follow is for files, got -: standard input is followed without it")
    if position is not None and not follow:
        raise InputError("--position says how far logs that grow were sent: give --follow too")
    if drop_seconds is not None and STANDARD_INPUT not in paths:
        raise InputError("--drop-after is for standard input, -: files wait and lose nothing")
    if drop_seconds is not None and not drop_seconds >= 0:
        raise InputError(f"expected seconds for --drop-after, got {drop_seconds}")


class _Room:
    """Whether there is room for a line; who writes into a pipe does not wait for ever."""

    def __init__(
        self, client: Client, patience: float, sent: Sent, say: Callable[[str], None]
    ) -> None:
        self._client, self._patience, self._sent, self._say = client, patience, sent, say
        self._dropped = 0  # of late, one after the other

    def is_left(self) -> bool:
        """False once a line is to be dropped."""
        if math.isinf(self._patience):
            return True
        if self._client.has_room(self._patience):
            if self._dropped:
                self._say(f"there is room again; {self._dropped:,} lines were dropped")
                self._dropped = 0
            return True
        if not self._dropped:
            self._say(
                f"the service has acknowledged nothing for {self._patience:g} s; dropping lines "
                "until it does (--drop-after)"
            )
        self._dropped += 1
        self._sent.dropped += 1
        return False

    def flush(self) -> None:
        """Wait for all that is under way, as long as it goes on."""
        if not self._client.flush(patience=self._patience):
            self._sent.dropped += self._client.unacknowledged


def _growing(
    paths: Sequence[Path], position: Position | None, say: Callable[[str], None]
) -> Iterator[str]:
    if position is None:
        for _, line in added_lines([Followed(path, [], say) for path in paths]):
            yield line
        return
    for tail, line in added_lines(position.logs(paths)):
        position.read(tail)
        yield line


def _send_all(
    client: Client, lines: Iterable[str], sent: Sent, room: _Room, *, named: bool
) -> None:
    lines = iter(lines)
    first = next(lines, None)
    if first is None:
        return
    sequences = detect_format([first]) == "sequences"
    if sequences and not named:
        raise InputError("--position is for raw lines, and these are sequences: send them without")
    parser = EventParser(EventConfig("sequences"), Templates(()))
    for line in itertools.chain([first], lines):
        sent.lines += 1
        if sequences:
            _send_sequence(client, room, parser, line, sent.lines)
        elif room.is_left():
            client.line(line)


def _send_sequence(
    client: Client, room: _Room, parser: EventParser, line: str, number: int
) -> None:
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
        if not room.is_left():
            return
        client.event(name or "", stream=stream, time=known, started=index == 0)
    if parsed.stream and room.is_left():
        client.end(parsed.stream[0])
