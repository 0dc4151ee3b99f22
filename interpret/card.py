"""The card of circuits: what a whole model has learned, read from its weights and held-out windows.

Values are in nats unless a name says otherwise; events are named, "k … q → v" is a skip-trigram.
`reading.read_model` makes it, `Card.to_json` is what docs/card.md describes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from ..model.vocabulary import Vocabulary
from ..model.weights import Weights
from .stages import History

CARD_VERSION = 1


@runtime_checkable
class Cardable(Protocol):
    """What a card needs of a model."""

    @property
    def sha256(self) -> str: ...
    @property
    def weights(self) -> Weights: ...
    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def reference(self) -> Mapping[str, NDArray[Any]]: ...
    @property
    def summary(self) -> Mapping[str, Any]: ...
    @property
    def history(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Weight:
    """An event with a number: a loading, or a share."""

    event: str
    value: float


@dataclass(frozen=True)
class Pair:
    """One cell of a table: the event of its row, that of its column, and the value."""

    row: str
    column: str
    value: float


@dataclass(frozen=True)
class Looked:
    """Where a head looks after an event."""

    looks: str  # the event that looks
    at: str
    attention: float  # mean share of its attention, where such an event is there
    times: int  # positions of the sample where it is


@dataclass(frozen=True)
class Direction:
    """One singular direction of a table, named on both sides by its largest loadings."""

    value: float
    share: float  # of the table's squared norm
    reads: tuple[Weight, ...]
    writes: tuple[Weight, ...]


@dataclass(frozen=True)
class Ribbon:
    """A prediction, and how far a path spoke for what followed."""

    gain: float
    before: tuple[str, ...]  # the last events, oldest first
    read: tuple[float, ...]  # attention of the path to each of them
    followed: str


@dataclass(frozen=True)
class Quantile:
    """A prediction at a quantile of how far a path speaks for what follows."""

    below: float  # share of the held-out predictions of which it speaks less for what followed
    ribbon: Ribbon


@dataclass(frozen=True)
class Head:
    """One head: its role, what it looks for, and what it makes of that."""

    name: str
    role: str
    on_windows: dict[str, float | None]  # mean attention by role
    on_repeats: dict[str, float | None]
    copying: float  # positivity of its OV circuit, over all events
    copying_repeats: float | None  # over the events that come again within a window
    distance: tuple[float, ...]  # rho: what it adds to the score by distance, 0 first
    sink: float  # score of looking at nothing
    looks: tuple[Looked, ...]
    brings: tuple[Pair, ...]  # OV: event read → outcome, largest frequency × |effect| first
    seeks: tuple[Pair, ...]  # QK: event that looks → event looked at
    ov: tuple[tuple[float, ...], ...]  # over `Card.shown`
    qk: tuple[tuple[float, ...], ...]
    ov_directions: tuple[Direction, ...]
    qk_directions: tuple[Direction, ...]
    moments: tuple[Ribbon, ...]  # that it helped most
    quantiles: tuple[Quantile, ...]  # from much to little, and against what followed


@dataclass(frozen=True)
class Skip:
    """k … q → v: what k before q makes of v, and how often training showed it."""

    earlier: str
    last: str
    following: str
    effect: float  # nats of the logit of v, all paths together, mean where k is there
    paths: tuple[Weight, ...]  # the strongest
    expected: float  # probability that the model gives v there, mean over the held-out windows
    support: int  # times in training that v came right after q, k before
    chances: int  # times that anything did


@dataclass(frozen=True)
class Rule:
    """What the model expects after `last` more often than not, and what makes it do so."""

    kind: str  # "bigram", "skip-trigram" or "induction"
    earlier: str | None  # of a skip-trigram: the event that has to come before
    last: str
    following: str | None  # None: what came after `last` before
    effect: float  # nats of the logit of what follows, mean where the rule applies
    heads: tuple[Weight, ...]  # that bring at least a tenth of it, "direct" for the direct path
    expected: float  # probability that the model gives it there, mean over the held-out windows
    support: int  # times that it followed: in training; of induction, in the held-out windows
    chances: int  # times that anything did


@dataclass(frozen=True)
class PathWork:
    """What a path is worth on the held-out windows, nats per event."""

    name: str
    loss: float  # more without it
    effect: float  # mean |Δ|


@dataclass(frozen=True)
class Composed:
    """Q-, K- or V-composition of a pair of heads, less what random matrices have."""

    first: str
    second: str
    side: str
    score: float
    baseline: float
    matching: float | None  # K: whether it looks for events that follow the current one's like


@dataclass(frozen=True)
class Follows:
    """A last event with what comes after it: by the direct path, in an average context, counted."""

    last: str
    share: float  # of all last events
    following: str
    direct: float
    usual: float
    counted: float


@dataclass(frozen=True)
class Group:
    """Outcomes that rise and fall together over all tables."""

    share: float  # of the groups' squared norm
    events: tuple[Weight, ...]


@dataclass(frozen=True)
class Edited:
    """A path that was damped after the training; see docs/editing.md."""

    parent: str  # SHA-256 of the manifest of the model before
    path: str  # "L0H1", or "direct"
    by: float
    row: str | None  # of the entry that was meant; None: the whole head
    column: str | None
    loss: float  # on the held-out windows before, nats per event
    measured: float  # and after
    calibrated: int  # normal streams that thresholds were set on then; 0: they were kept
    last: str | None = None  # of a rule that was damped after this last event alone


@dataclass(frozen=True)
class Noticed:
    """Of normal streams that a change makes a difference to, how many raise an alert."""

    change: str
    alerts: int
    streams: int

    @property
    def share(self) -> float:
        return self.alerts / self.streams if self.streams else 0.0


@dataclass(frozen=True)
class Card:
    """A whole model to read."""

    model: str
    n_layers: int
    n_heads: int
    window: int
    events: int  # kinds
    trained_streams: int
    trained_events: int
    loss: float  # held-out, nats per event
    loss_bigram: float
    loss_one_layer: float | None  # None if none was fitted to compare
    loss_ngram: float
    ngram_order: int
    sample_windows: int
    sample_events: int
    short: dict[str, str]  # names without the beginning that most events share
    shown: tuple[str, ...]  # events of the tables: by group, then by frequency
    shown_groups: tuple[int, ...]  # index into `groups`
    groups: tuple[Group, ...]
    groups_explain: float  # share of the tables' squared norm
    direct: tuple[tuple[float, ...], ...]  # D̃ over `shown`
    counted: tuple[tuple[float, ...], ...]  # n(q, v) / n(q)
    direct_directions: tuple[Direction, ...]
    direct_misses: float  # nats per event by which b_U + D misses the counted bigram
    usual_misses: float  # and with what heads bring on average
    follows: tuple[Follows, ...]
    work: tuple[PathWork, ...]
    heads: tuple[Head, ...]
    rules: tuple[Rule, ...]
    skips: tuple[Skip, ...]
    phantoms: tuple[Skip, ...]  # strong, never seen in training
    compositions: tuple[Composed, ...]
    history: History | None  # as it trained; None if an earlier version trained it
    noticed: tuple[Noticed, ...]  # when its thresholds were set; none if that is not known
    limits: tuple[str, ...]
    edits: tuple[Edited, ...]  # oldest first

    def to_json(self) -> dict[str, Any]:
        """A JSON value; what is unknown is null, numbers of tables have four digits."""
        value: dict[str, Any] = _rounded(asdict(self))
        return {"version": CARD_VERSION, **value}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
