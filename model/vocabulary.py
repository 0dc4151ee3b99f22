"""Event name ↔ token id, with four tokens that are not events of the system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from jaxtyping import Int32

from .coded import Coded

START, PAST, END, NEW = 0, 1, 2, 3
SPECIAL = ("<start>", "<past>", "<end>", "<new>")


@dataclass(frozen=True)
class Vocabulary:
    """Names by token id, and how often each was an event in training.

    `<start>` begins a stream whose beginning was seen, `<past>` one that was joined in the middle,
    `<end>` is predicted after the last event, `<new>` stands for every event not in the vocabulary.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    _ids: dict[str | None, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.names[: len(SPECIAL)] != SPECIAL:
            raise ValueError(f"a vocabulary begins with {SPECIAL}, got {self.names[:4]}")
        if len(self.names) != len(self.counts):
            raise ValueError(f"{len(self.names)} names but {len(self.counts)} counts")
        # An event that is called "<end>" in the log must not pass for ours: it is an unseen one.
        ids: dict[str | None, int] = {
            name: token for token, name in enumerate(self.names) if token >= len(SPECIAL)
        }
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        return len(self.names)

    def ids(self, names: Iterable[str | None]) -> list[int]:
        """Tokens of event names; `NEW` for None and for a name not seen in training."""
        return list(map(self._ids.get, names, repeat(NEW)))  # None is no name

    def tokens(self, names: Sequence[str | None]) -> Int32[np.ndarray, " names"]:
        """Tokens of many names, of which a coded column looks up each kind once."""
        coded = Coded.of(names)
        return np.asarray(np.array(self.ids(coded.values), dtype=np.int32)[coded.codes])

    def to_json(self) -> dict[str, Any]:
        return {"names": list(self.names), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Vocabulary:
        return cls(tuple(value["names"]), tuple(value["counts"]))
