"""Time stamps of log lines: the usual formats, which one a log has, and reading it fast.

A format is known by a name such as `iso@0`: the kind, and how many words stand before it. It is
found in training and kept in the model. A stamp without a zone is taken as UTC; one without a year
(or without a date) as the one nearest to the stamp before it.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from operator import add, itemgetter
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from .stamp_formats import FORMATS, MONTHS, MOST_WORDS_BEFORE, compile_lines, compile_stamp
from .zones import ZONES

_MONTHS = {name: number for number, name in enumerate(MONTHS, start=1)}
_GUESSED = ("syslog", "klog", "month_day", "clock")  # they may lack a year, or the date
_OPENING = "[(\"'"
_SCALE = np.array([10.0**digits for digits in range(10)])  # of a fraction
_LOOKED_AT = 500  # characters of a line that are searched for a stamp
_LEARNED = 4  # layouts, of the lines of one call
_REMEMBERED = 4096  # stamps; far fewer than the seconds of a day, so a year cannot go stale
_EPOCH = date(1970, 1, 1).toordinal()
_DAY, _YEAR = 86_400.0, 365.2425 * 86_400.0


def _offset(zone: str | None) -> float:
    """Seconds to take away to come to UTC."""
    if not zone:
        return 0.0
    if zone in ZONES:
        return ZONES[zone] * 3600.0
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    return (-1.0 if zone[0] == "-" else 1.0) * (hours * 3600.0 + minutes * 60.0)


@lru_cache(maxsize=4096)
def _midnight(year: int, month: int, day: int) -> float:
    """Unix seconds at which a day begins, in UTC; nan if there is no such day."""
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        return 86_400.0 * (date(year, month, day).toordinal() - _EPOCH)
    except ValueError:
        return math.nan


def _seconds(part: dict[str, str | None], nearest: float) -> float:
    """Unix seconds, without the fraction, of the parts of a stamp; nan if there is no such time.

    What the stamp leaves open, the year or the date, is chosen so that it comes nearest to
    `nearest`.
    """
    epoch = part.get("epoch")
    if epoch:
        return int(epoch) / 10.0 ** (len(epoch) - 10)
    if part.get("hour"):
        hour, minute, second = part["hour"], part["minute"], part["second"]
    else:
        hour, minute, second = part["hour2"], part["minute2"], part["second2"]
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    half = part.get("half")
    if half:
        hours = hours % 12 + (12 if half[0] in "Pp" else 0)
    if hours > 24 or minutes > 59 or seconds > 60:
        return math.nan
    clock = hours * 3600.0 + minutes * 60.0 + seconds - _offset(part.get("zone"))
    name = part.get("month_name")
    month = _MONTHS[name] if name else int(part.get("month") or 0)
    if not month:
        return clock + round((nearest - clock) / _DAY) * _DAY
    year, day = int(part.get("year") or 0), int(part.get("day") or 0)
    if year:
        return _midnight(year, month, day) + clock
    now = time.gmtime(nearest).tm_year
    times = [_midnight(year, month, day) + clock for year in (now - 1, now, now + 1)]
    times = [moment for moment in times if not math.isnan(moment)]
    return min(times, key=lambda moment: abs(moment - nearest)) if times else math.nan


class _Matched(NamedTuple):
    """Lines with a stamp, and what of it stands before its fraction and behind that."""

    rows: list[int]
    stamps: list[tuple[str, str]]
    fractions: list[str]
    texts: list[str]


def _cut_out(
    text: str, cuts: Int64[np.ndarray, "6 stamps"], again: Int64[np.ndarray, " stamps"]
) -> tuple[Int64[np.ndarray, " first"], list[tuple[str, str]]]:
    """Which stamps are not those of the line before, and of these what stands before the fraction
    and behind it; `cuts` are `Layouts.places` in the text.
    """
    first = np.flatnonzero(again == 0)
    stamp, point, _, tail, stop, _ = cuts[:, first].tolist()
    ends = zip(stamp, point, tail, stop, strict=True)
    return first, [(text[a:b], text[c:d]) for a, b, c, d in ends]


class TimeReader:
    """Reads the stamps of lines in one format; remembers the stamp before."""

    def __init__(self, name: str) -> None:
        self.name = name
        lines = compile_lines(name)
        self._find_lines = lines.findall
        places = lines.groupindex
        self._groups = [places[n] - 1 for n in ("before", "head", "fraction", "tail", "rest")]
        self._take_apart = compile_stamp(name).match
        from .layouts import Layouts  # half a second for Numba, which `--help` need not wait

        self.layouts = Layouts()
        self._known: dict[tuple[str, str], float] = {}
        self._minutes: dict[tuple[str, str], float] = {}
        kind = name.partition("@")[0]
        self.guesses = kind in _GUESSED  # the year, or the date
        self._has_minutes = not self.guesses and kind != "epoch"
        self._daily = kind == "clock"  # the same stamp comes every day
        # A stamp without a year is of the last twelve months; or of tomorrow, in another zone.
        self._last = time.time() - (0.0 if kind == "clock" else 0.5 * _YEAR - 3.0 * _DAY)

    def read(self, lines: Sequence[str]) -> tuple[list[int], list[float], list[str]]:
        """Which of the lines have a stamp; its Unix seconds, nan if there is no such time; and the
        line without it. No line may hold a line end.
        """
        text = "\n".join((*lines, ""))
        found, fractions = self.layouts.find(text)
        begins, ends, layout, again = found.T
        alike = np.flatnonzero(layout >= 0)  # those that look like one before
        places = self.layouts.places[layout[alike]]
        cuts = begins[alike] + places.T
        stamp, _, fraction, tail, _, rest = cuts
        first, stamps = _cut_out(text, cuts, again[alike])
        others = self._match(lines, np.flatnonzero(layout < 0).tolist())

        self._make_room()
        numbers = [*alike[first].tolist(), *others.rows]
        named = zip(numbers, [*stamps, *others.stamps], strict=True)
        for row, name in sorted(named, key=itemgetter(0)) if others.rows else named:
            if name not in self._known:
                self._known[name] = self._read_stamp(*name, lines[row])
        seconds = np.full(len(lines), math.nan)
        known = np.array([self._known[name] for name in stamps])
        seconds[alike] = known[np.cumsum(again[alike] == 0) - 1]
        seconds[others.rows] = [self._known[name] for name in others.stamps]
        rows = np.sort(np.append(alike, others.rows)) if others.rows else alike
        if self._daily:
            seconds[rows] = self._on_their_days(seconds[rows])
        seconds[alike] += fractions[alike] / _SCALE[tail - fraction]
        texts = [text[a:b] for a, b in zip(rest.tolist(), ends[alike].tolist(), strict=True)]
        for at in np.flatnonzero(places[:, 0]).tolist():
            texts[at] = text[begins[alike[at]] : stamp[at]].rstrip(_OPENING) + texts[at]
        if others.rows:
            seconds[others.rows] += [int(d or 0) / _SCALE[len(d)] for d in others.fractions]
            of_row = {
                **dict(zip(alike.tolist(), texts, strict=True)),
                **dict(zip(others.rows, others.texts, strict=True)),
            }
            texts = [of_row[row] for row in rows.tolist()]
        return rows.tolist(), seconds[rows].tolist(), texts

    def seconds(
        self,
        text: str,
        lines: Sequence[str],
        rows: Int64[np.ndarray, " stamps"],
        begins: Int64[np.ndarray, " stamps"],
        layout: Int64[np.ndarray, " stamps"],
        again: Int64[np.ndarray, " stamps"],
        fractions: Int64[np.ndarray, " stamps"],
    ) -> Float64[np.ndarray, " stamps"]:
        """Unix seconds of the stamps in some rows of `lines`, which `text` has one after the other,
        where `Layouts.find` has found what it says of them; for formats that guess nothing.
        """
        cuts = begins + self.layouts.places[layout].T
        first, stamps = _cut_out(text, cuts, again)
        self._make_room()
        for row, name in zip(rows[first].tolist(), stamps, strict=True):
            if name not in self._known:
                self._known[name] = self._read_stamp(*name, lines[row])
        known = np.array([self._known[name] for name in stamps])
        _, _, fraction, tail, _, _ = cuts
        return np.asarray(known[np.cumsum(again == 0) - 1] + fractions / _SCALE[tail - fraction])

    def _make_room(self) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
            self._minutes.clear()

    def _match(self, lines: Sequence[str], rows: Sequence[int]) -> _Matched:
        """What the expression finds in some of the lines; some of their layouts are known then."""
        found = self._find_lines("\n".join([lines[row] for row in rows])) if rows else []
        head_at = self._groups[1]
        matched = [at for at, groups in enumerate(found) if groups[head_at]]
        if not matched:
            return _Matched([], [], [], [])
        columns = list(zip(*[found[at] for at in matched], strict=True))
        before, head, fraction, tail, rest = (columns[at] for at in self._groups)
        rows = [rows[at] for at in matched]
        for at in range(min(len(rows), _LEARNED)):
            self._learn(lines[rows[at]], before[at], head[at], fraction[at], tail[at], rest[at])
        texts = list(map(add, (text.rstrip(_OPENING) for text in before), rest))
        return _Matched(rows, list(zip(head, tail, strict=True)), list(fraction), texts)

    def _learn(self, line: str, *groups: str) -> None:
        before, head, fraction, tail, rest = map(len, groups)
        point = before + head
        end = point + (fraction + 1 if fraction else 0)
        places = (before, point, end - fraction, end, end + tail, len(line) - rest)
        found = self._take_apart(line)
        assert found is not None, "both expressions match the same"
        named = found.re.groupindex
        first = max(found.start(name) if name in named else -1 for name in ("year", "epoch"))
        self.layouts.learn(line, places, first, has_year=self.name.startswith("ctime"))

    def _read_stamp(self, head: str, tail: str, line: str) -> float:
        """Unix seconds of a line's stamp, which is given up to its fraction and from there on."""
        minute = head[:-2], tail
        since = self._minutes.get(minute)
        if since is not None and head[-2:].isdecimal():
            second = int(head[-2:])
            return since + second if second <= 60 else math.nan
        found = self._take_apart(line)
        assert found is not None, "both expressions match the same"
        seconds = _seconds(found.groupdict(), self._last)
        if self.guesses and not self._daily and not math.isnan(seconds):
            self._last = seconds
        if self._has_minutes and head[-2:].isdecimal() and not math.isnan(seconds):
            self._minutes[minute] = seconds - int(head[-2:])
        return seconds

    def _on_their_days(
        self, moments: Float64[np.ndarray, " lines"]
    ) -> Float64[np.ndarray, " lines"]:
        """Times of day, each on the day on which it comes nearest to the one before."""
        known = np.flatnonzero(~np.isnan(moments))
        half = 0.5 * _DAY
        steps = (np.diff(moments[known], prepend=self._last) + half) % _DAY - half
        moments[known] = (self._last + np.cumsum(steps)).round()
        if len(known):
            self._last = float(moments[known[-1]])
        return moments


def find_format(lines: Sequence[str]) -> str | None:
    """Name of the stamp that most lines carry at the same place; None if there is none.

    Lines without a stamp are continuations of the record before. Where they are many, they must
    look like it (indented), else the stamp is not the record's.
    """
    lines = [line[:_LOOKED_AT] for line in lines if line.strip()]
    best: tuple[int, str] | None = None
    for place in range(MOST_WORDS_BEFORE + 1):
        for kind in FORMATS:
            name = f"{kind}@{place}"
            match = compile_stamp(name).match
            count = 0
            for line in lines:
                found = match(line)
                if found is not None and not math.isnan(_seconds(found.groupdict(), 0.0)):
                    count += 1
            # Another stamp must be on clearly more lines to be preferred to an earlier one.
            if count and (best is None or count > 1.1 * best[0]):
                best = (count, name)
    if best is None:
        return None
    count, name = best
    match = compile_stamp(name).match
    without = [line for line in lines if match(line) is None]
    indented = sum(1 for line in without if line[0].isspace())
    if 2 * count >= len(lines) or (20 * count >= len(lines) and 2 * indented >= len(without)):
        return name
    return None


@lru_cache(maxsize=1)
def _any_format() -> list[Callable[[str], re.Match[str] | None]]:
    return [
        compile_stamp(f"{kind}@0").match
        for kind in FORMATS
        if kind == "syslog" or kind not in _GUESSED
    ]


def without_stamp(line: str) -> str:
    """The line behind the time stamp that it begins with, if it begins with one."""
    found = next(filter(None, (match(line) for match in _any_format())), None)
    return line[found.end() :] if found else line


def parse_time(value: object) -> float:
    """Unix seconds of a field: a number (seconds, ms, µs or ns), or text; nan if it is neither."""
    if isinstance(value, bool) or value is None:
        return math.nan
    if isinstance(value, int | float):
        size = abs(value)
        if not size < 1e20:
            return math.nan
        for limit, scale in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
            if size >= limit:
                return float(value) / scale
        return float(value)
    if not isinstance(value, str):
        return math.nan
    for match in _any_format():
        found = match(value)
        if found is not None:
            parts = found.groupdict()
            seconds = _seconds(parts, time.time())
            fraction = parts.get("fraction")
            return seconds + (int(fraction) / 10.0 ** len(fraction) if fraction else 0.0)
    try:
        return parse_time(float(value))
    except ValueError:
        return math.nan
