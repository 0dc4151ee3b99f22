"""Growing log files, line by line, through rotations."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..model.errors import LogError
from .config import LINE_CHARACTERS

_POLL_SECONDS = 0.2
_ROTATED_SECONDS = 60.0  # silence of a file with another one in its place, until it is left
_BLOCK = 1 << 16
_HEAD = 1024  # bytes that a file is known by, beside its inode
_LONGEST = 4 * LINE_CHARACTERS  # bytes of a line that are kept; the service takes no more


def open_log(path: Path) -> int:
    """The descriptor of a file; LogError if it cannot be followed."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for who writes
    except OSError as error:
        raise LogError(f"cannot follow {path}: {error.strerror}") from error
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise LogError(f"cannot follow {path}: expected a file; a pipe is sent as standard input, -")


class Tail:
    """One file that grows, whatever its name becomes, from `offset` on. It owns the descriptor."""

    def __init__(self, path: Path, file: int, offset: int = 0) -> None:
        self.path = path
        self.offset = offset  # behind the last line that was handed out
        self.head = os.pread(file, min(offset, _HEAD), 0)
        self.grown = time.monotonic()
        self._file = file
        self._read = offset
        self._rest = b""  # of a line whose end is not there yet
        status = os.fstat(file)
        self.inode = status.st_dev, status.st_ino

    def lines(self, until: int | None = None) -> Iterator[str]:
        """The complete lines that were added since the last call, up to the byte `until`; `offset`
        is behind each. Of an endless one only the beginning is kept.
        """
        while block := self._block(until):
            at = self._read
            self._read += len(block)
            *pieces, rest = block.split(b"\n")
            for piece in pieces:
                at += len(piece) + 1
                line, self._rest = self._rest + piece, b""
                self.offset = at
                yield _text(line)
            self._rest = (self._rest + rest)[:_LONGEST]

    def rest(self) -> Iterator[str]:
        """What stands behind the last line end, as a line."""
        if self._rest:
            line, self._rest, self.offset = self._rest, b"", self._read
            yield _text(line)

    def part(self, begin: int) -> Tail:
        """The same file from another byte on."""
        return Tail(self.path, self._file, begin)

    def is_emptied(self) -> bool:
        """Whether another log has taken the place of what was read, as `copytruncate` has it."""
        size = os.fstat(self._file).st_size
        return size < self._read or os.pread(self._file, len(self.head), 0) != self.head

    def anew(self) -> Tail:
        """The other log, which has the file from now on."""
        return Tail(self.path, self._file)

    def close(self) -> None:
        os.close(self._file)

    def _block(self, until: int | None) -> bytes:
        size = _BLOCK if until is None else min(_BLOCK, until - self._read)
        block = os.pread(self._file, size, self._read)
        if self.is_emptied():  # looked at after the reading, so that this was of the log
            return b""
        if block:
            self.grown = time.monotonic()
            self.head += block[: _HEAD - len(self.head)]
        return block


class Followed:
    """The log at a path: what lies there now, and what lay there and may still be written to.

    `tails` are what was followed before, the oldest first. `say` is told what goes wrong.
    """

    def __init__(self, path: Path, tails: Sequence[Tail], say: Callable[[str], None]) -> None:
        self._path = path
        self.tails = list(tails)  # the oldest first
        self._say = say
        self._complaint = ""
        if tails:
            self._look()
        else:
            self.tails.append(Tail(path, open_log(path)))

    def lines(self) -> Iterator[tuple[Tail, str]]:
        """The lines that were added since the last call, of older files first."""
        for place, tail in enumerate(self.tails):
            yield from ((tail, line) for line in tail.lines())
            if tail.is_emptied():
                yield from ((tail, line) for line in tail.rest())
                self.tails[place] = tail.anew()
        self._look()
        # A program may write to a log that was renamed until it is told to open the new one.
        silent = time.monotonic() - _ROTATED_SECONDS
        for tail in self.tails[:-1]:
            if tail.grown < silent:
                yield from ((tail, line) for line in tail.rest())
                self.tails.remove(tail)
                tail.close()

    def _look(self) -> None:
        """See whether another file has taken the path."""
        try:
            status = self._path.stat()
            inode = status.st_dev, status.st_ino
            if inode == self.tails[-1].inode:
                return
            known = [tail for tail in self.tails if tail.inode == inode]  # renamed back
            new = known[0] if known else Tail(self._path, open_log(self._path))
        except (OSError, LogError) as error:
            # Between two files there may be none, or went as it was looked at.
            absent = isinstance(error.__cause__ or error, FileNotFoundError)
            if not absent and str(error) != self._complaint:
                self._complaint = str(error)
                self._say(f"{error}; trying again")
            return
        self.tails[-1].grown = time.monotonic()
        self.tails = [*(tail for tail in self.tails if tail is not new), new]


def added_lines(logs: Sequence[Followed]) -> Iterator[tuple[Tail, str]]:
    """The lines of growing logs, for ever, each with the file that it is of."""
    while True:
        grown = False
        for log in logs:
            for line in log.lines():
                grown = True
                yield line
        if not grown:
            time.sleep(_POLL_SECONDS)


def _text(line: bytes) -> str:
    return line[:_LONGEST].decode(errors="replace").rstrip("\r")
