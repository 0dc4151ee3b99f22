"""An alert: what fired, with all that is needed to explain it later."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .skeleton import digit_free
from .vocabulary import NEW

DETECTORS = ("event", "drift", "end", "new", "counts", "level", "stream")
AT_END = ("end", "counts", "level")  # those that judge a stream that has ended
OVERALL = ("drift", "counts", "level", "stream")  # those that many events make fire, not one


@dataclass(frozen=True)
class Alert:
    """One stream, one cause. Times are unix seconds, surprisals nats; unknown times are nan.

    `score` is the −log tail probability of `statistic` under held-out normal streams; the alert was
    raised because it passed `threshold` (equivalently: because `statistic` passed `limit`).
    `tokens` ends with the observed one; `times` and `lines` lie beside it.
    """

    id: str
    model: str  # sha256 of the model folder's manifest
    stream: str
    detector: str
    time: float
    first_seen: float
    last_seen: float
    count: int
    score: float
    threshold: float
    statistic: float
    limit: float
    joined: bool  # the stream was joined in the middle
    position: int  # events of the stream so far, this one included
    surprisal: float
    entropy: float
    observed: str
    text: str | None  # the raw line, or the name that was not in the vocabulary
    expected: str
    expected_probability: float
    tokens: tuple[int, ...]
    times: tuple[float, ...]
    lines: tuple[str | None, ...]
    span: int = 1  # events, counted back from the observed one, that made it fire
    counts: dict[int, int] = field(default_factory=dict)  # counts: token → number in the stream
    scores: dict[str, float] = field(default_factory=dict)  # stream: of each detector, nats
    kinds: tuple[str, ...] = ()  # of an overall detector: names of all events it looked at, sorted
    model_name: str = ""  # under which a service has the model; "": it has none

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(f"unknown detector {self.detector!r}, expected one of {DETECTORS}")
        if not len(self.tokens) == len(self.times) == len(self.lines):
            raise ValueError("an alert's tokens, times and lines have different lengths")

    @property
    def unknown(self) -> bool:
        """Whether an event that is not in the vocabulary is among those that made it fire, as far
        as they are at hand.
        """
        return unknown(self.tokens, self.span, self.counts)

    @property
    def mechanism(self) -> str:
        """The same for alerts that mean the same, whichever their stream; 16 hexadecimal digits.

        A detector, the event that came, and the one that was expected; of an unseen event also its
        line without digits and stream, and of a detector that many events make fire all kinds of
        events that it saw: that a stream as a whole is odd says nothing about another.
        """
        line = ""
        if self.observed == "<new>" and self.text is not None:
            line = self.text
            if self.stream in line:  # a pattern for each stream would take longer than all else
                line = re.sub(rf"(?<!\w){re.escape(self.stream)}(?!\w)", "", line)
            line = digit_free(line).decode(errors="replace")
        parts = [self.detector, self.observed, self.expected, line, *self.kinds]
        return sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A JSON value; unknown times become null."""
        value: dict[str, Any] = {**vars(self), "scores": dict(self.scores)}
        for name in ("time", "first_seen", "last_seen"):
            value[name] = _number(value[name])
        value["tokens"] = list(self.tokens)
        value["times"] = [_number(time) for time in self.times]
        value["lines"] = list(self.lines)
        value["kinds"] = list(self.kinds)
        value["counts"] = {str(token): count for token, count in self.counts.items()}
        if not self.model_name:
            del value["model_name"]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Alert:
        times = {name: _time(value[name]) for name in ("time", "first_seen", "last_seen")}
        return cls(
            **{
                **value,
                **times,
                "tokens": tuple(value["tokens"]),
                "times": tuple(_time(time) for time in value["times"]),
                "lines": tuple(value["lines"]),
                "kinds": tuple(value.get("kinds", ())),  # alerts of earlier versions have none
                "counts": {int(token): count for token, count in value["counts"].items()},
            }
        )


def unknown(tokens: Sequence[int], span: int, counts: Mapping[int, int]) -> bool:
    """Whether `<new>` is among the last `span` tokens, or among those that were counted."""
    return NEW in tokens[-span:] or NEW in counts


def _number(time: float) -> float | None:
    return None if math.isnan(time) else time


def _time(number: float | None) -> float:
    return math.nan if number is None else number
