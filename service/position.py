"""How far growing logs have been sent, in a file, so that another run goes on there.

Before a batch goes out for the first time, it is written down which bytes of which files it has.
After a kill those that were not acknowledged are made again of the same bytes, under the client's
name and the numbers that they had, so that the service drops what it has scored. What is behind
them goes out under a new name, in new batches.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ..model.errors import InputError, LogError
from ..model.event import well_formed
from ..protos import detector_pb2 as pb
from .config import LINE_CHARACTERS
from .tail import Followed, Tail, open_log


@dataclass(frozen=True)
class _Batch:
    """One that is not acknowledged; `spans` are bytes of files, from the first to the last."""

    client: str
    seq: int
    spans: list[tuple[Tail, int, int]]


class Position:
    """Of the logs that one process sends. `read` is for the thread that reads; others are for any.

    InputError if another process has the file, or if it is none of this kind.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._logs: list[Followed] = []
        self._read: deque[tuple[Tail, int]] = deque()  # lines, in no batch yet, by their ends
        self._ends: dict[Tail, int] = {}  # of each file, what is in batches
        self._batches: deque[_Batch] = deque()
        self._changed = threading.Lock()
        # Not the file itself, in the place of which comes another one each time.
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._restore()
        except BlockingIOError:
            os.close(self._lock)
            raise InputError(
                f"another process has the position {path}: give each its own"
            ) from None
        except BaseException:
            os.close(self._lock)
            raise

    def logs(self, paths: Sequence[Path]) -> list[Followed]:
        """The logs at these paths, from where they were left or else from their beginning."""
        logs = []
        for path in map(Path.absolute, paths):
            tails = [tail for tail in self._ends if tail.path == path]
            logs.append(Followed(path, tails, self._say))
        self._logs = logs
        with self._changed:
            self._write()  # whatever it is renamed to before a line of it is sent
        return self._logs

    def batches(self, model: str) -> list[pb.EventBatch]:
        """Those that were not acknowledged, as they were."""
        return [
            pb.EventBatch(
                client=batch.client,
                seq=batch.seq,
                model=model,
                lines=[well_formed(line[:LINE_CHARACTERS]) for line in _lines(batch.spans)],
            )
            for batch in self._batches
        ]

    def read(self, tail: Tail) -> None:
        """A line of this file, up to its offset, is about to be sent."""
        self._read.append((tail, tail.offset))
        if tail not in self._ends:
            with self._changed:
                self._ends[tail] = 0
                self._write()

    def sending(self, batch: pb.EventBatch) -> None:
        """A batch is about to go out; its lines are those that were read first."""
        with self._changed:
            if any((each.client, each.seq) == (batch.client, batch.seq) for each in self._batches):
                return
            spans: list[tuple[Tail, int, int]] = []
            lines = [self._read.popleft() for _ in batch.lines]
            for tail, ends in groupby(lines, itemgetter(0)):
                *_, (_, end) = ends
                spans.append((tail, self._ends[tail], end))
                self._ends[tail] = end
            self._batches.append(_Batch(batch.client, batch.seq, spans))
            self._write()

    def acknowledged(self, seq: int) -> None:
        """The first batch with this number needs no sending any more."""
        with self._changed:
            known = seq in (batch.seq for batch in self._batches)
            while known:
                known = self._batches.popleft().seq != seq
            # Else the next batch writes it, and one that is sent again does no harm.
            if not self._batches:
                self._write()

    def close(self) -> None:
        """Write it as it is now, and let others have it."""
        with self._changed:
            self._write()
            os.close(self._lock)

    def _write(self) -> None:
        if not self._logs:
            return  # nothing was read, so what the file says is right
        # Those in batches or with lines to come, and those that are open.
        tails = dict.fromkeys(tail for batch in self._batches for tail, _, _ in batch.spans)
        tails.update(dict.fromkeys(tail for tail, end in self._ends.items() if end < tail.offset))
        tails.update(dict.fromkeys(tail for log in self._logs for tail in [*log.tails]))
        self._ends = {tail: self._ends.get(tail, 0) for tail in tails}
        files = {tail: number for number, tail in enumerate(tails)}
        content = {
            "files": [
                {
                    "path": str(tail.path),
                    "inode": tail.inode,
                    "head": _digest(tail.head[:end]),
                    "offset": end,
                }
                for tail, end in self._ends.items()
            ],
            "batches": [
                {
                    "client": batch.client,
                    "seq": batch.seq,
                    "spans": [(files[tail], begin, end) for tail, begin, end in batch.spans],
                }
                for batch in self._batches
            ],
        }
        new = Path(f"{self._path}.new")
        new.write_text(json.dumps(content), encoding="utf-8")
        new.replace(self._path)

    def _restore(self) -> None:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            files = [_found(**file) for file in content["files"]]
            batches = [
                (
                    each["client"],
                    each["seq"],
                    [(int(f), int(b), int(e)) for f, b, e in each["spans"]],
                )
                for each in content["batches"]
            ]
        except FileNotFoundError:
            return
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"expected a position of offscript send in {self._path}: {error}; give another "
                "file, or remove this one to begin at the beginning"
            ) from error
        for tail, file in zip(files, content["files"], strict=True):
            if tail is not None:
                self._ends[tail] = file["offset"]
            else:
                self._say(
                    f"{file['path']} as it was read last is gone, renamed to another folder, "
                    f"compressed or emptied: what it got after byte {file['offset']:,} is not sent"
                )
        for client, seq, spans in batches:
            found = [(tail, b, e) for f, b, e in spans if (tail := files[f]) is not None]
            self._batches.append(_Batch(client, seq, found))


def _found(path: str, inode: list[int], head: str, offset: int) -> Tail | None:
    """The file that was read: at its path, or in the same folder under a name that begins alike."""
    for candidate in _candidates(Path(path), inode[1]):
        try:
            file = open_log(candidate)
        except LogError:
            continue
        tail = Tail(Path(path), file, offset)
        if [*tail.inode] == inode and not tail.is_emptied() and _digest(tail.head) == head:
            return tail
        tail.close()
    return None


def _candidates(path: Path, inode: int) -> Iterator[Path]:
    yield path
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if entry.inode() == inode and entry.name.startswith(path.stem):
                    yield Path(entry.path)
    except OSError:
        return


def _lines(spans: Sequence[tuple[Tail, int, int]]) -> Iterator[str]:
    for tail, begin, end in spans:
        part = tail.part(begin)
        yield from part.lines(end)
        yield from part.rest()


def _digest(head: bytes) -> str:
    return blake2b(head, digest_size=16).hexdigest()
