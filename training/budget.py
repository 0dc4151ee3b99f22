"""The alert budget: how many false alerts are acceptable, as the user says it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..model.errors import BudgetError, InputError

_UNITS = {
    "day": "day",
    "days": "day",
    "d": "day",
    "stream": "stream",
    "streams": "stream",
    "event": "event",
    "events": "event",
}
_SCALES = {"": 1.0, "k": 1e3, "thousand": 1e3, "million": 1e6, "m": 1e6}
_FORM = re.compile(
    r"\s*([\d.,_]+)\s*(?:/|per|in)\s*([\d.,_]*)\s*(k|thousand|million|m)?\s*([a-z]*)\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Size:
    """How many streams (of endless ones: blocks) go together with how many events and days."""

    streams: int
    events: int
    days: float  # nan: events have no times


@dataclass(frozen=True)
class Budget:
    """`count` false alerts per `per` units."""

    count: float
    per: float
    unit: str  # "day", "stream" or "event"

    def __str__(self) -> str:
        if self.unit == "day":
            return f"{self.count:g}/day" if self.per == 1 else f"{self.count:g}/{self.per:g} days"
        return f"{self.count:g}/{self.per:,.10g} {self.unit}s"

    def rate(self, size: Size) -> float:
        """False alerts per stream, for data of this size."""
        if self.unit == "stream":
            return self.count / self.per
        if self.unit == "event":
            return self.count / self.per * size.events / size.streams
        if not size.days > 0.0:
            none = "have none" if math.isnan(size.days) else "are all of the same time"
            raise BudgetError(
                f"a budget of {self} needs events with times, and these {none}; give the budget "
                "per streams, e.g. 1/1000 streams"
            )
        return self.count / self.per * size.days / size.streams

    def scaled(self, factor: float) -> Budget:
        """The budget `factor` times as large, rounded up to a number that one can read."""
        if self.unit == "stream" and self.count == 1:
            return Budget(1, math.floor(self.per / factor + 1e-6), self.unit)
        count = self.count * factor
        digit = 10.0 ** (math.floor(math.log10(count)) - 1)
        return Budget(math.ceil(count / digit - 1e-9) * digit, self.per, self.unit)


DEFAULT = Budget(1, 1000, "stream")
A_DAY = Budget(1, 1, "day")  # of endless streams
FEW_BLOCKS = 0.01  # share of the blocks of an endless stream that may raise a false alert


def parse_budget(text: str) -> Budget:
    """`5/day`, `1/1000 streams`, `1 in 10,000 streams`, `10/million events`."""
    match = _FORM.fullmatch(text)
    if match:
        count, per, scale, unit = match.groups()
        unit = _UNITS.get(unit.lower() or "streams")
        try:
            number = float(count.replace(",", "").replace("_", ""))
            size = float(per.replace(",", "").replace("_", "")) if per else 1.0
        except ValueError:
            number = size = 0.0
        size *= _SCALES[(scale or "").lower()]
        if unit and number > 0 and size > 0:
            return Budget(number, size, unit)
    raise InputError(
        f"budget {text!r} is not understood; say for example 5/day, 1/1000 streams or "
        "10/million events"
    )


def supported(budget: Budget | None, size: Size) -> Budget:
    """The budget if held-out data of this size can support it.

    Without a wish: 1 in 1,000 streams, else the smallest that the data supports. A wish that the
    data cannot support raises BudgetError with the smallest that it can.
    """
    wish = budget or DEFAULT
    rate = wish.rate(size)
    if rate * (size.streams + 1) >= 1.0 - 1e-9:
        return wish
    smallest = wish.scaled(1.0 / (rate * (size.streams + 1)))
    if budget is None:
        return smallest
    raise BudgetError(
        f"a budget of {budget} asks for {1.0 / rate - 1:,.0f} normal streams to calibrate "
        f"on, there are {size.streams:,}; the smallest that this data supports is {smallest}: give "
        "that or more data"
    )
