"""What an explanation holds, and its JSON form (docs/explanations.md, schema version 1).

Values are in nats unless a name says otherwise; a detector's statistic is in its own units. A
`source` or `index` counts from 0 in the alert's tokens; a `lag` counts back from the event
explained: 1 is the event right before it. Unknown times are nan, null in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..model.errors import InputError
from .contexts import Support
from .counterfactual import Instead, Repair
from .plain import from_plain, to_plain
from .unseen import Nearest, Unseen
from .verify import Check

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """An event that could come, did come, or both."""

    event: str
    probability: float
    base_rate: float  # its share of all events in training
    rank: int  # 1: the most probable
    support: int  # how often it came right after the last event in training


@dataclass(frozen=True)
class Term:
    """One contribution. The terms of an attribution sum to its total.

    `kind`: "base" (an average event in an average context), "remainder" (of the view: the
    entropy of the set it compares with), "direct" (the last event's row of W_E W_U), "head" and
    "virtual" (a path reading the event `source`), "resting" (attention to no event), "others" (what
    a path read elsewhere).
    """

    kind: str
    name: str  # "direct", "L0H2", "L1H3", "L0H1→L1H2" …
    value: float
    source: int | None = None
    lag: int | None = None
    via: int | None = None  # virtual: lag of the event where the second head mostly read


@dataclass(frozen=True)
class Part:
    """A part of what a head reads at an event: the event itself, what a head brought, or biases."""

    event: str | None  # null: of no event, the biases
    lag: int | None
    head: str | None  # of layer 0, which brought the event there; null: the event itself


@dataclass(frozen=True)
class ContentPair:
    """What a part of a head's query and a part of a key add to the content."""

    query: Part  # at the event that looked
    key: Part  # at the event that it looked at
    value: float


@dataclass(frozen=True)
class Look:
    """Why a head looked where it did: its score for the source beside the sink's.

    attention / attention to the sink = exp(content + distance − sink).
    """

    head: str
    reader: int  # lag of the event that looked; the last known event has lag 1
    source: int  # lag of the event that it looked at
    attention: float
    content: float  # q·k / √d_head: which events they are
    distance: float  # rho: how far back
    sink: float
    pairs: tuple[ContentPair, ...] = ()  # strongest first, of the looks that are told


@dataclass(frozen=True)
class PathShare:
    """What one path brought of an event."""

    name: str
    value: float
    via: int | None
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class Evidence:
    """One event before the one explained, with all that it contributed.

    For the last event (lag 1) this includes what follows from it by itself: the direct path.
    """

    rank: int  # 0 for an event that spoke against
    source: int
    event: str
    lag: int
    seconds: float  # before the event explained
    time: float
    line: str | None
    value: float  # share of the attribution's total
    surprise: float  # share of the surprisal
    paths: tuple[PathShare, ...]  # strongest first
    check: Check | None
    support: Support | None = None  # None of the last event, and where it is not known

    @property
    def bits(self) -> float:
        """The share of the total in bits."""
        return self.value / math.log(2.0)


@dataclass(frozen=True)
class Surprise:
    """The surprisal of the event explained, split: rare anywhere, after the last event, evidence.

    surprisal = anywhere + last + evidence. The weights of this split are an average prediction
    (Aumann–Shapley), so these are shares of the surprise.
    """

    surprisal: float
    anywhere: float  # −log of its share of all events in training
    last: float  # what the last event makes of that in an average context
    evidence: float  # what the other events (and resting heads) add


@dataclass(frozen=True)
class Attribution:
    """One event explained: total = Σ terms = base + Σ evidence + others."""

    index: int
    line: str | None
    time: float
    view: str  # "contrast" | "contrast set" | "own expectation"
    against: tuple[str, ...]  # what the observed event is held against
    against_probability: float
    total: float
    base: float  # what no event brings: the average case and the view's remainder
    others: float  # evidence not listed, and resting heads
    surprise: Surprise
    observed: Outcome
    expected: tuple[Outcome, ...]  # most probable first
    last: str  # the event right before
    terms: tuple[Term, ...]
    evidence: tuple[Evidence, ...]  # strongest first; events that spoke against come last
    completeness_error: float  # |Σ terms − total|, with all terms
    nearest: tuple[Nearest, ...] = ()  # to an unseen event whose line or name is at hand


@dataclass(frozen=True)
class Excess:
    """One event of the span; drift: S − H − κ, level: (S − ū) / (n + 20)."""

    index: int
    event: str
    lag: int  # 0: the observed event
    value: float
    whole: bool = True  # whether all that its prediction depends on is at hand


@dataclass(frozen=True)
class CountShare:
    """counts: one event's share of 1 − u·v, ½ (u_i − v_i)²."""

    event: str
    count: int
    expected: float  # in the nearest normal stream, scaled to this one
    value: float


@dataclass(frozen=True)
class DetectorShare:
    """stream: one detector's share of √Σ s², which is s² / √Σ s²."""

    detector: str
    score: float  # s, −log of how rare its statistic is among normal streams, nats
    value: float


@dataclass(frozen=True)
class Said:
    """What one person said of an alert."""

    verdict: str  # normal, anomalous, acknowledged, resolved or open
    comment: str
    by: str
    time: float


@dataclass(frozen=True)
class Similar:
    """Another alert of the same detector, event, and event expected instead."""

    alert: str
    stream: str
    time: float
    count: int
    status: str  # open, normal, anomalous, suppressed, acknowledged or resolved
    feedback: tuple[Said, ...]  # oldest first
    evidence: tuple[str, ...] = ()  # events that speak most for it; none where that is not known
    same: bool | None = None  # whether the first is, by the same path, this alert's; None: unknown


@dataclass(frozen=True)
class Explanation:
    """Why an alert was raised: `total` is exactly the sum of what is listed.

    event, end, new: `total` is that of the one attribution; the statistic of new is the sum of
    `unseen`. drift, level: the statistic, the sum of
    `span` and `earlier`. counts: the statistic, the sum of `counts`. stream: the statistic, the sum
    of `parts`; its attribution is of the most surprising event at hand. An event is at hand if all
    that its prediction depends on is among the alert's tokens.
    """

    alert: str
    model: str
    stream: str
    detector: str
    time: float
    text: str | None
    statistic: float  # as served
    limit: float
    score: float
    threshold: float
    view: str
    total: float
    recomputed: float  # in float64, what `served` was in float32
    served: float  # observed event's surprisal; the statistic of counts, and of a whole span
    attributions: tuple[Attribution, ...] = ()  # drift, level: the span's worst events
    span: tuple[Excess, ...] = ()  # largest first
    earlier: float = 0.0  # drift, level: what the span leaves of the statistic; see `unlisted`
    events: int = 0  # drift, level, stream: that it is about; 0: not known (earlier versions)
    at_hand: int = 0  # … of these
    counts: tuple[CountShare, ...] = ()  # largest first
    parts: tuple[DetectorShare, ...] = ()  # largest first
    unseen: Unseen | None = None  # new: the sum of its parts is the statistic
    instead: Instead | None = None  # of the first attribution's event
    repair: Repair | None = None
    model_name: str = ""  # under which a service has the model; "": it has none
    similar: tuple[Similar, ...] = ()  # same evidence first, then newest; of a service only
    warnings: tuple[str, ...] = ()

    @property
    def unlisted(self) -> str:
        """What `earlier` is of: events that are gone, and what gone context would change."""
        if self.events and self.events == len(self.span):
            return "context no longer at hand"
        cut = "" if all(part.whole for part in self.span) else " and context"
        return f"events{cut} no longer at hand"

    @property
    def gap(self) -> float:
        """Recomputed minus served."""
        return self.recomputed - self.served

    @property
    def completeness_error(self) -> float:
        """The largest |Σ terms − total| among all parts."""
        parts = []
        if self.detector in ("drift", "level"):
            parts.append(self.total - sum(part.value for part in self.span) - self.earlier)
        if self.counts:
            parts.append(self.total - sum(part.value for part in self.counts))
        if self.parts:
            parts.append(self.total - sum(part.value for part in self.parts))
        if self.unseen:
            parts.append(self.statistic - self.unseen.before - self.unseen.this)
        return max([a.completeness_error for a in self.attributions] + [abs(p) for p in parts])

    def to_json(self) -> dict[str, Any]:
        """A JSON value that fits schema version 1."""
        value: dict[str, Any] = to_plain(asdict(self))
        value["version"] = SCHEMA_VERSION
        value["gap"] = self.gap
        value["completeness_error"] = self.completeness_error
        for attribution in value["attributions"]:
            for evidence in attribution["evidence"]:
                evidence["bits"] = evidence["value"] / math.log(2.0)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Explanation:
        """The explanation in a JSON value; InputError if it does not fit schema version 1."""
        if value.get("version") != SCHEMA_VERSION:
            raise InputError(
                f"expected an explanation of schema version {SCHEMA_VERSION}, got "
                f"{value.get('version')!r}; use the client of the service's own version"
            )
        try:
            explanation: Explanation = from_plain(cls, value)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"the explanation does not fit the schema ({error}); use the client of the "
                "service's own version"
            ) from error
        return explanation
