"""Raw lines on disk, bounded and without secrets, so that an alert can show those of its window.

Append-only segments. A record is the position of the record before it in the same bucket, a hash of
its stream, its time and the line; a stream's bucket is its hash modulo a power of two, so that any
number of streams costs one fixed array of 8 bytes a bucket. The lines of a window are found by
walking a bucket's chain backwards. When all is full the oldest segment goes, and its lines with it.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Collection, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from struct import Struct

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from ..model.coded import Coded
from .line_kernels import HEADER_BYTES, lay_out_records
from .redaction import Redacted, redact

logger = logging.getLogger("offscript")

_HEADER = Struct("<qQdI")  # of a record: the position of the one before, key, time, length
_BUCKETS = 1 << 19
_SEGMENTS = 16  # that the bound is divided into
_STEPS = 4096  # records looked at for one window, as streams share buckets
_NOWHERE = -1


def warm() -> None:
    """Compile the kernels for raw lines, so that the first ones do not wait for it."""
    redact([])
    nothing, integers = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    kept = np.zeros((0, 2), np.int64)
    lay_out_records(nothing, 0, 0, 0, integers, integers, integers, 0, 0, nothing, kept)


class Spool:
    """The lines of the recent past in `folder`, at most `size` bytes of them. One thread owns it.

    Lines that the disk does not take are not kept; scoring does not depend on them.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._segment = max(size // _SEGMENTS, 1 << 12)  # bytes; segment n begins at n * _segment
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._heads = self._take_heads()
        kept = sorted(int(path.name.removeprefix("lines-")) for path in folder.glob("lines-*"))
        self._first = kept[0] if kept else 0
        self._failing = False
        self._file = -1
        self._begin_segment(kept[-1] + 1 if kept else 0)

    def append(
        self, streams: Sequence[str], lines: Redacted, times: Float64[np.ndarray, " lines"]
    ) -> Int64[np.ndarray, " lines"]:
        """Keep the lines; returns their positions, −1 for what the disk does not take."""
        kept = np.full((len(lines), 2), _NOWHERE)
        text = "\n".join(lines).encode(errors="replace")
        data = np.array(memoryview(text))
        coded = Coded.of(streams)
        keys = np.array([_key(stream) for stream in coded.values], dtype=np.uint64)[coded.codes]
        moments = np.array(times, dtype=np.float64).view(np.int64)
        records = np.empty(min(self._segment, len(data) + len(lines) * HEADER_BYTES), np.uint8)
        line = at = 0
        try:
            while line < len(lines):
                offset = self._end - self._number * self._segment
                following, size, read = lay_out_records(
                    data[at:],
                    line,
                    len(lines),
                    self._segment // 4,
                    keys.view(np.int64),
                    moments,
                    self._heads,
                    self._end,
                    self._segment - offset,
                    records,
                    kept,
                )
                if following == line:
                    self._begin_segment(self._number + 1)
                    continue
                self._write(records[:size], offset)
                line, at = following, at + read
            self._failing = False
        except OSError as error:
            # The last record of a bucket is again what it was, that of several lines the first's.
            taken_back = np.flatnonzero(kept[line:, 0] >= 0)[::-1] + line
            buckets = keys[taken_back] % np.uint64(_BUCKETS)
            self._heads[buckets.astype(np.int64)] = kept[taken_back, 1]
            kept[line:] = _NOWHERE
            if not self._failing:
                logger.warning("raw lines are not kept: %s: %s", self._folder, error.strerror)
            self._failing = True
        return np.array(kept[:, 0])

    def window(
        self, stream: str, times: Sequence[float], position: int | None = None
    ) -> tuple[str | None, ...]:
        """Lines of a stream's events at these times; those after `position` are not looked at.

        None for an event that came without a line, or whose line is gone. Times may be off by as
        much as the detector's are, which keeps them as gaps in single precision.
        """
        lines: list[str | None] = [None] * len(times)
        key = _key(stream)
        at = int(self._heads[key % _BUCKETS]) if position is None else position
        event = len(times) - 1
        latest = max((moment for moment in times if not math.isnan(moment)), default=math.nan)
        for _ in range(_STEPS):
            record = self._read(at) if event >= 0 else None
            if record is None:
                break
            at, owner, time, text = record
            if owner != key:
                continue
            near = 1e-6 + 1e-7 * abs(latest - time)
            # Events later than the record came without a line; a later record is another event's.
            while event >= 0 and not times[event] <= time + near:
                event -= 1
            if event >= 0 and times[event] >= time - near:
                lines[event] = text
                event -= 1
        return tuple(lines)

    def __len__(self) -> int:
        """Bytes on disk, to within a segment."""
        return self._end - self._first * self._segment

    def close(self) -> None:
        """Keep the positions too, so that the next service finds the lines."""
        os.close(self._file)
        path = self._folder / "heads.npy"
        try:
            np.save(path, np.append(self._heads, self._segment), allow_pickle=False)
            path.chmod(0o600)
        except OSError as error:
            logger.warning("raw lines up to now are lost: %s: %s", path, error.strerror)
            path.unlink(missing_ok=True)

    def _take_heads(self) -> Int64[np.ndarray, " buckets"]:
        """The positions that the last service left; without them its lines cannot be found.

        They are removed from disk: after a crash they would lag behind the lines.
        """
        path = self._folder / "heads.npy"
        try:
            saved = np.load(path, allow_pickle=False)
        except (OSError, ValueError):
            saved = np.zeros(0, np.int64)
        path.unlink(missing_ok=True)
        if saved.shape == (_BUCKETS + 1,) and saved[-1] == self._segment:
            return np.array(saved[:-1], np.int64)
        for old in self._folder.glob("lines-*"):
            old.unlink()
        return np.full(_BUCKETS, _NOWHERE, np.int64)

    def _begin_segment(self, number: int) -> None:
        file = os.open(self._path(number), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._number, self._end = file, number, number * self._segment
        while number - self._first >= _SEGMENTS:
            self._path(self._first).unlink(missing_ok=True)
            self._first += 1

    def _write(self, records: UInt8[np.ndarray, " bytes"], offset: int) -> None:
        if os.pwrite(self._file, records.data, offset) < len(records):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += len(records)

    def _read(self, position: int) -> tuple[int, int, float, str] | None:
        number, offset = divmod(position, self._segment)
        if not self._first <= number <= self._number:
            return None
        try:
            if number == self._number:
                return _read_record(self._file, offset)
            file = os.open(self._path(number), os.O_RDONLY)
            try:
                return _read_record(file, offset)
            finally:
                os.close(file)
        except FileNotFoundError:
            return None
        except OSError as error:  # an alert without its lines is better than none
            if not self._failing:
                logger.warning("raw lines cannot be read: %s: %s", self._folder, error.strerror)
            self._failing = True
            return None

    def _path(self, number: int) -> Path:
        return self._folder / f"lines-{number:010d}"


def remove_others(root: Path, needed: Collection[Path]) -> None:
    """Remove the lines below `root` that lie in no folder that is needed: no spool bounds them, and
    nobody finds them any more.
    """
    try:
        for file in (*root.rglob("lines-*"), *root.rglob("heads.npy")):
            if file.is_file() and file.parent not in needed:
                file.unlink()
        for folder in sorted(root.rglob("*/"), reverse=True):  # the inner ones first
            if folder not in needed and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        logger.warning("old raw lines are not removed: %s: %s", error.filename, error.strerror)


def _read_record(file: int, offset: int) -> tuple[int, int, float, str] | None:
    size = _HEADER.size
    data = os.pread(file, size + 512, offset)  # most lines come with the first read
    if len(data) < size:
        return None
    previous, key, time, length = _HEADER.unpack_from(data)
    text = data[size : size + length]
    if len(text) < length:
        text = os.pread(file, length, offset + size)
    return previous, key, time, text.decode(errors="replace")


@lru_cache(maxsize=1 << 14)
def _key(stream: str) -> int:
    return int.from_bytes(
        blake2b(stream.encode(errors="replace"), digest_size=8).digest(), "little"
    )
