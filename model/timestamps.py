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
from operator import add

import numpy as np

from .errors import InputError
from .zones import ZONES

_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_YEAR4 = r"(?P<year>[12]\d{3})"
_MONTH = rf"(?P<month_name>{'|'.join(_MONTH_NAMES)})[a-z]*\.?"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_CLOCK = r"(?P<hour>\d\d?):(?P<minute>\d\d?):(?P<second>\d\d?)"
_CLOCK2 = r"(?P<hour2>\d\d)(?P<minute2>\d\d)(?P<second2>\d\d)"
_FRACTION = r"(?:[.,:](?P<fraction>\d{1,9}))?(?!\d)"
_ZONE = (
    r"(?: ?(?P<zone>[+-]\d\d:?\d\d(?!\d)|[+-]\d\d(?![\d:.])|(?:"
    + "|".join(sorted(ZONES, key=len, reverse=True))
    + r")(?![\w:=])))?"
)

# Kind: what stands before the fraction of the second, what behind it. What is surely a date comes
# before what may be one; of equals the first is taken.
FORMATS: dict[str, tuple[str, str]] = {
    "iso": (
        rf"{_YEAR4}(?P<sep>[-/.])(?P<month>\d\d?)(?P=sep)(?P<day>\d\d?)(?:[T_ ]|, ?|  ){_CLOCK}",
        _ZONE,
    ),
    "dotted": (
        rf"{_YEAR4}-(?P<month>\d\d)-(?P<day>\d\d)[-_ ]{_CLOCK.replace(':', '[.]')}",
        _ZONE,
    ),
    "basic": (
        rf"{_YEAR4}(?P<month>\d\d)(?P<day>\d\d)[-T_ ](?:{_CLOCK}|{_CLOCK2})",
        _ZONE,
    ),
    "ctime": (
        rf"{_WEEKDAY} {_MONTH} {{1,2}}(?P<day>\d\d?) {_CLOCK}",
        rf"{_ZONE} {_YEAR4}",
    ),
    "day_month": (
        rf"(?:{_WEEKDAY},? )?(?P<day>\d\d?)(?P<sep>[-/ .]){_MONTH}(?P=sep){_YEAR4}[ :T]{_CLOCK}",
        _ZONE,
    ),
    "american": (
        rf"(?P<month>\d\d?)(?P<sep>[/-])(?P<day>\d\d?)(?P=sep){_YEAR4},? {_CLOCK}",
        rf"(?: ?(?P<half>[AaPp][Mm]))?{_ZONE}",
    ),
    "european": (
        rf"(?P<day>\d\d?)(?P<sep>[./-])(?P<month>\d\d?)(?P=sep){_YEAR4},? {_CLOCK}",
        _ZONE,
    ),
    "short": (
        rf"(?P<year>\d\d)(?P<sep>[/-])(?P<month>\d\d)(?P=sep)(?P<day>\d\d) {_CLOCK}",
        _ZONE,
    ),
    "hdfs": (r"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d) +(?:" + rf"{_CLOCK}|{_CLOCK2})", ""),
    "epoch": (r"(?P<epoch>[1-4]\d{18}|[1-4]\d{15}|[1-4]\d{12}|[1-4]\d{9})", ""),
    "syslog": (rf"{_MONTH} {{1,2}}(?P<day>\d\d?),? (?:{_YEAR4},? )?{_CLOCK}", _ZONE),
    "klog": (rf"(?P<month>\d\d)(?P<day>\d\d) {_CLOCK}", ""),
    "month_day": (rf"(?P<month>\d\d)[-./](?P<day>\d\d) {_CLOCK}", ""),
    "clock": (r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)", ""),
}
_GUESSED = ("syslog", "klog", "month_day", "clock")  # they may lack a year, or the date
_OPENING = "[(\"'"
_SPACE = r"[^\S\n]"
_SCALE = [10.0**digits for digits in range(10)]  # of a fraction
_MOST_WORDS_BEFORE = 8
_LOOKED_AT = 500  # characters of a line that are searched for a stamp
_REMEMBERED = 4096  # stamps; far fewer than the seconds of a day, so a year cannot go stale
_EPOCH = date(1970, 1, 1).toordinal()
_DAY, _YEAR = 86_400.0, 365.2425 * 86_400.0


def _expression(name: str) -> tuple[str, str, str]:
    """A format's regular expression: what may stand before the stamp, the stamp up to the fraction
    of the second, and what is behind that.
    """
    kind, _, place = name.partition("@")
    place = place or "0"
    if kind not in FORMATS or not place.isdecimal() or int(place) > _MOST_WORDS_BEFORE:
        kinds = ", ".join(FORMATS)
        raise InputError(
            f"unknown time stamp {name!r}: expected KIND@WORDS, such as iso@0, for a stamp that "
            f"{_MOST_WORDS_BEFORE} words at most stand before; kinds are {kinds}"
        )
    words = rf"(?:\S+{_SPACE}+){{{int(place)}}}" if int(place) else rf"{_SPACE}*"
    level = r"[IWEFD]" if kind == "klog" else ""
    # The priority of syslog, `<34>` or `<34>1 `, may stand before, and brackets around the stamp.
    before = rf"{words}(?:<\d{{1,3}}>(?:\d )?)?[\[(\"']?{level}"
    return before, *FORMATS[kind]


def _compile(name: str) -> re.Pattern[str]:
    """A format's regular expression, with the names of its parts in it."""
    before, head, tail = _expression(name)
    return re.compile(rf"{before}{head}{_FRACTION}{tail}")


def _compile_lines(name: str) -> re.Pattern[str]:
    """One that finds each line of a text, with or without a stamp, and takes the stamp apart as far
    as every line needs.
    """
    before, *parts = _expression(name)
    head, tail = (re.sub(r"\(\?P<(?!sep>)\w+>", "(?:", part) for part in parts)
    return re.compile(
        rf"(?m)^(?P<before>{before})(?P<head>{head}){_FRACTION}(?P<tail>{tail})"
        r"[\])\"']?[,:]?(?P<rest>.*)$|^.*$"
    )


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


class TimeReader:
    """Reads the stamps of lines in one format; remembers the stamp before."""

    def __init__(self, name: str) -> None:
        self.name = name
        lines = _compile_lines(name)
        self._find_lines = lines.findall
        places = lines.groupindex
        self._groups = [places[n] - 1 for n in ("before", "head", "fraction", "tail", "rest")]
        self._match = _compile(name).match
        self._known: dict[str, float] = {}
        kind = name.partition("@")[0]
        self.guesses = kind in _GUESSED  # the year, or the date
        self._daily = kind == "clock"  # the same stamp comes every day
        # A stamp without a year is of the last twelve months; or of tomorrow, in another zone.
        self._last = time.time() - (0.0 if kind == "clock" else 0.5 * _YEAR - 3.0 * _DAY)

    def read(self, lines: Sequence[str]) -> tuple[list[int], list[float], list[str]]:
        """Which of the lines have a stamp; its Unix seconds, nan if there is no such time; and the
        line without it. No line may hold a line end.
        """
        found = self._find_lines("\n".join(lines)) if lines else []
        head_at = self._groups[1]
        rows = [row for row, groups in enumerate(found) if groups[head_at]]
        if not rows:
            return [], [], []
        if len(rows) < len(found):
            found = [found[row] for row in rows]
        columns = list(zip(*found, strict=True))
        before, stamp, fraction, tail, rest = (columns[at] for at in self._groups)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        if any(tail):
            stamp = tuple(map(add, stamp, tail))
        known = self._known
        for at in [at for at, text in enumerate(stamp) if text not in known]:
            if stamp[at] not in known:  # it may come twice
                self._remember(stamp[at], lines[rows[at]])
        seconds = [known[text] for text in stamp]
        if self._daily:
            seconds = self._on_their_days(seconds)
        if any(fraction):
            seconds = [
                moment + int(digits) / _SCALE[len(digits)] if digits else moment
                for moment, digits in zip(seconds, fraction, strict=True)
            ]
        if any(before):
            rest = tuple(map(add, (text.rstrip(_OPENING) for text in before), rest))
        return rows, seconds, list(rest)

    def _remember(self, stamp: str, line: str) -> None:
        found = self._match(line)
        assert found is not None, "both expressions match the same"
        seconds = _seconds(found.groupdict(), self._last)
        if self.guesses and not self._daily and not math.isnan(seconds):
            self._last = seconds
        self._known[stamp] = seconds

    def _on_their_days(self, seconds: list[float]) -> list[float]:
        """Times of day, each on the day on which it comes nearest to the one before."""
        moments = np.array(seconds)
        known = np.flatnonzero(~np.isnan(moments))
        half = 0.5 * _DAY
        steps = (np.diff(moments[known], prepend=self._last) + half) % _DAY - half
        moments[known] = (self._last + np.cumsum(steps)).round()
        if len(known):
            self._last = float(moments[known[-1]])
        return list(map(float, moments))


def find_format(lines: Sequence[str]) -> str | None:
    """Name of the stamp that most lines carry at the same place; None if there is none.

    Lines without a stamp are continuations of the record before. Where they are many, they must
    look like it (indented), else the stamp is not the record's.
    """
    lines = [line[:_LOOKED_AT] for line in lines if line.strip()]
    best: tuple[int, str] | None = None
    for place in range(_MOST_WORDS_BEFORE + 1):
        for kind in FORMATS:
            name = f"{kind}@{place}"
            match = _compile(name).match
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
    match = _compile(name).match
    without = [line for line in lines if match(line) is None]
    indented = sum(1 for line in without if line[0].isspace())
    if 2 * count >= len(lines) or (20 * count >= len(lines) and 2 * indented >= len(without)):
        return name
    return None


@lru_cache(maxsize=1)
def _any_format() -> list[Callable[[str], re.Match[str] | None]]:
    return [
        _compile(f"{kind}@0").match for kind in FORMATS if kind == "syslog" or kind not in _GUESSED
    ]


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
