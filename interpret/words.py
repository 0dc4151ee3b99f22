"""Numbers, times and the log's own text as words for a terminal; values come in nats."""

from __future__ import annotations

import math
from datetime import UTC, datetime

WIDTH = 96
NAME = 56  # characters of an event's name in a table
BAR = 12  # characters of the longest bar
SPOKEN = {
    "<start>": "the stream's beginning",
    "<past>": "the stream being joined in the middle",
    "<end>": "the stream's end",
    "<new>": "an event not seen in training",
}
_LAST_YEAR = 253_402_300_800.0  # unix seconds that still have a date


def bar(value: float, largest: float) -> str:
    """The value in bits and a bar beside it, dotted where it is negative."""
    halves = round(abs(value) / largest * BAR * 2) if largest else 0
    drawn = "░" * (halves // 2) if value < 0.0 else "█" * (halves // 2) + "▌" * (halves % 2)
    return f"  {signed(value):>7}  {drawn:<{BAR}}"


def bits(nats: float) -> str:
    """One decimal, with a true minus sign."""
    shown = f"{nats / math.log(2.0):.1f}"
    return "0.0" if shown == "-0.0" else shown.replace("-", "−")


def signed(nats: float) -> str:
    """As `bits`, with its sign."""
    shown = bits(nats)
    return shown if shown.startswith("−") else f"+{shown}"


def percent(share: float) -> str:
    """As many digits as are worth reading."""
    if share >= 0.9995:
        return "100 %"
    if share >= 0.1 or share == 0.0:
        return f"{100.0 * share:.0f} %"
    if share >= 0.01:
        return f"{100.0 * share:.1f} %"
    return f"{100.0 * share:.2f} %" if share >= 1e-4 else "< 0.01 %"


def chance(probability: float) -> str:
    """The probability in percent, and as one in n where it is small."""
    if probability >= 0.01:
        return percent(probability)
    if probability < 1e-15:
        return f"{percent(probability)}, practically never"
    n = 1.0 / probability
    for size, word in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if n >= size:
            return f"{percent(probability)}, 1 in {n / size:.2g}{word}"
    return f"{percent(probability)}, 1 in {round(n, 2 - len(str(int(n)))):,.0f}"


def times(count: int) -> str:
    """How often something came."""
    return {0: "never", 1: "once"}.get(count, f"{count:,} times")


def came(count: int) -> str:
    """The same, with the verb that goes with it."""
    return f"came {times(count)}" if count else "never came"


def were(expected: float) -> str:
    """How many, with the verb that goes with it."""
    if expected < 0.05:
        return "none was"
    return f"{expected:.3g} {'was' if expected == 1.0 else 'were'}"


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th …"""
    teens = rank % 100 in (11, 12, 13)
    return f"{rank}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(rank % 10, 'th')}"


def ago(seconds: float) -> str:
    """A time span in its own unit."""
    for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit} earlier"
    return f"{seconds:.3g} s earlier"


def clock(time: float) -> str:
    """Time of day; a number where the calendar has none."""
    if not 0.0 <= time < _LAST_YEAR:
        return f"t = {time:g}"
    return f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}"


def date(time: float) -> str:
    """Day and time of day, UTC; nothing where unknown."""
    if math.isnan(time):
        return ""
    if not 0.0 <= time < _LAST_YEAR:
        return clock(time)
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def quoted(event: str) -> str:
    """An event inside a sentence."""
    return SPOKEN.get(event) or f"`{plain(event)}`"


def plain(event: str, width: int = NAME) -> str:
    """An event in a table."""
    shown = SPOKEN.get(event) or clean(event)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def clean(line: str) -> str:
    """A log's text with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else "·" for c in line.strip())


def cut(line: str) -> str:
    """A line of at most `WIDTH` characters."""
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
