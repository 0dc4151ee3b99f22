"""A trained decoder to experiment on: its weights in float64, and its events by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int

from ..model.errors import InputError, NotFoundError
from ..model.folder import load_model
from ..model.weights import Weights
from .activations import Activations, run
from .card import Pair
from .circuits import Circuit, ov_circuits, ov_weights, qk_circuits, qk_weights
from .factored import FactoredMatrix
from .naming import largest_cells
from .paths import Paths, expand
from .reference import Reference, read_reference
from .sample import read_windows

Array = np.ndarray


@dataclass(frozen=True)
class Transformer:
    """Where names become tokens and heads; what is computed is in the free functions beside it.

    An event goes by its name, or by any part of it that no other event's name has. A head is called
    as in "L1H2", a virtual head as in "L0H1→L1H2".
    """

    weights: Weights  # float64
    names: tuple[str, ...]  # of the events, by token
    reference: Reference  # what is usual, and how often events follow one another
    windows: list[Int[Array, " _"]]  # of held-out streams; each begins with <start> or <past>

    @classmethod
    def load(cls, path: Path | str) -> Transformer:
        """The decoder of a model folder; ModelError if there is none."""
        model = load_model(Path(path))
        weights = model.weights.astype(np.float64)
        return cls(
            weights,
            model.vocabulary.names,
            read_reference(model.reference, weights),
            read_windows(model.reference),
        )

    def token(self, event: str) -> int:
        """The token of an event."""
        if event in self.names:
            return self.names.index(event)
        found = [token for token, name in enumerate(self.names) if event in name]
        if len(found) == 1:
            return found[0]
        if found:
            others = ", ".join(repr(self.names[token]) for token in found[:3])
            raise NotFoundError(
                f"{len(found)} events have {event!r} in their names, among them {others}; "
                "give more of the name"
            )
        close = get_close_matches(event, self.names, n=3, cutoff=0.3)
        raise NotFoundError(
            f"no event is called {event!r}; the closest are {', '.join(map(repr, close))}"
            if close
            else f"no event is called {event!r}; `names` has all of them"
        )

    def tokens(self, events: Sequence[str]) -> Int[Array, " events"]:
        """Tokens of events; a stream begins with "<start>", or with "<past>" if joined later."""
        return np.array([self.token(event) for event in events], dtype=np.int64)

    def run(self, events: Sequence[str]) -> Activations:
        """All activations on these events."""
        if not events:
            raise InputError('there are no events to run on; a stream begins with "<start>"')
        return run(self.weights, self.tokens(events))

    def decompose(self, activations: Activations) -> Paths:
        """The last logits as a sum over paths and sources, for the whole vocabulary.

        `Paths` as along one direction for each event: its axis `directions` is d_vocab.
        """
        directions = np.eye(self.weights.d_vocab)
        return expand(self.weights, activations, directions, self.reference)

    def OV(self, head: str) -> FactoredMatrix:
        """W_V W_O of a head, [d_model d_model]."""
        return ov_weights(self.weights, *self._place(head))

    def QK(self, head: str) -> FactoredMatrix:
        """W_Q W_Kᵀ / √d_head of a head, [d_model d_model]."""
        return qk_weights(self.weights, *self._place(head))

    def full_OV(self, path: str) -> Circuit:
        """What a head or virtual head makes of each event that it reads, [d_vocab d_vocab]."""
        return _called(path, ov_circuits(self.weights))

    def full_QK(self, head: str) -> Circuit:
        """How much each event makes a head look at each, [looking d_vocab, seen d_vocab]."""
        return _called(head, qk_circuits(self.weights))

    def among(
        self, circuit: Circuit, rows: Sequence[str], columns: Sequence[str]
    ) -> Float64[Array, "rows columns"]:
        """The cells of a circuit between these events."""
        return np.asarray(circuit.left[self.tokens(rows)] @ circuit.right[:, self.tokens(columns)])

    def largest(self, circuit: Circuit) -> tuple[Pair, ...]:
        """The cells of a circuit that matter most: by size, and by how often their events come."""
        rates = self.reference.base_rates()
        return largest_cells(self.names, circuit, self.reference.last, rates)

    def _place(self, head: str) -> tuple[int, int]:
        """Layer and number of a head."""
        names = [circuit.name for circuit in qk_circuits(self.weights)]
        if head not in names:
            raise _missing(head, names)
        return divmod(names.index(head), self.weights.n_heads)


def _called(name: str, circuits: Sequence[Circuit]) -> Circuit:
    for circuit in circuits:
        if circuit.name == name:
            return circuit
    raise _missing(name, [circuit.name for circuit in circuits])


def _missing(name: str, names: Sequence[str]) -> NotFoundError:
    return NotFoundError(f"this decoder has no {name!r}; it has {', '.join(names) or 'no heads'}")
