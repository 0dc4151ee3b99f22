"""Simple methods that a decoder has to beat: each is fitted on normal streams and scores others."""

from __future__ import annotations

from .baseline import Fit
from .control import Control
from .counts import Counts
from .deeplog import DeepLog
from .forest import Forest
from .length import Length
from .new_event import NewEvent
from .ngram import NGramSurprisal
from .stide import Stide

BASELINES: dict[str, Fit] = {
    "new_event": NewEvent,
    "length": Length,
    "counts": Counts,
    "stide": Stide,
    "ngram": NGramSurprisal,
    "forest": Forest,
    "control": Control,
    "deeplog": DeepLog,
}
SEEDED = ("forest", "control", "deeplog")  # the others always come out the same
