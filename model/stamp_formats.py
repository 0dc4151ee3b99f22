"""Formats of time stamps as regular expressions; a name such as `iso@0` stands for one."""

from __future__ import annotations

import re

from .errors import InputError
from .zones import ZONES

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_YEAR4 = r"(?P<year>[12]\d{3})"
_MONTH = rf"(?P<month_name>{'|'.join(MONTHS)})[a-z]*\.?"
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

MOST_WORDS_BEFORE = 8
_SPACE = r"[^\S\n]"


def _expression(name: str) -> tuple[str, str, str]:
    """A format's regular expression: what may stand before the stamp, the stamp up to the fraction
    of the second, and what is behind that.
    """
    kind, _, place = name.partition("@")
    place = place or "0"
    if kind not in FORMATS or not place.isdecimal() or int(place) > MOST_WORDS_BEFORE:
        kinds = ", ".join(FORMATS)
        raise InputError(
            f"unknown time stamp {name!r}: expected KIND@WORDS, such as iso@0, for a stamp that "
            f"{MOST_WORDS_BEFORE} words at most stand before; kinds are {kinds}"
        )
    words = rf"(?:\S+{_SPACE}+){{{int(place)}}}" if int(place) else rf"{_SPACE}*"
    level = r"[IWEFD]" if kind == "klog" else ""
    # The priority of syslog, `<34>` or `<34>1 `, may stand before, and brackets around the stamp.
    before = rf"{words}(?:<\d{{1,3}}>(?:\d )?)?[\[(\"']?{level}"
    return before, *FORMATS[kind]


def compile_stamp(name: str) -> re.Pattern[str]:
    """A format's regular expression, with the names of its parts in it."""
    before, head, tail = _expression(name)
    return re.compile(rf"{before}{head}{_FRACTION}{tail}")


def compile_lines(name: str) -> re.Pattern[str]:
    """One that finds each line of a text, with or without a stamp, and takes the stamp apart as far
    as every line needs.
    """
    before, *parts = _expression(name)
    head, tail = (re.sub(r"\(\?P<(?!sep>)\w+>", "(?:", part) for part in parts)
    return re.compile(
        rf"(?m)^(?P<before>{before})(?P<head>{head}){_FRACTION}(?P<tail>{tail})"
        r"[\])\"']?[,:]?(?P<rest>.*)$|^.*$"
    )
