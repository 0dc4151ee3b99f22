"""Explanations of stored alerts, each by the model that raised it, beside others of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from ..interpret.explain import explain
from ..interpret.explanation import Explanation
from ..interpret.mechanism import mechanism
from ..model.alert import Alert
from ..model.errors import InputError, ModelError
from ..model.folder import Model, model_from_files
from ..protos import detector_pb2 as pb
from . import messages
from .engine import Engine
from .grounds import rests_on
from .store import Store
from .stored import StoredAlert

_SIMILAR = 20  # alerts that an explanation names
_COMPARED = 8  # of them are explained, too: as long as two or three of the checks


class Explainer:
    """Any thread may call `explain`."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._kept = lru_cache(maxsize=4)(self._load)

    def explain(self, alert_id: str, *, checks: bool) -> pb.Explanation:
        """Why an alert was raised; NotFoundError if there is none of this id."""
        alert = self._store.alert(alert_id).alert
        similar = self._store.similar(alert, limit=_SIMILAR)
        served = self._engine.served.get(alert.model_name)
        later = () if served is None else served.sequel(alert)
        model = self._model_of(alert)
        own = explain(model, alert, later=later, checks=checks)
        others = dict(_mechanisms(model, own, similar))
        similar.sort(key=lambda other: others.get(other.alert.id, ())[:1] != mechanism(own)[:1])
        explanation = replace(
            own,
            similar=tuple(
                other.similar(others.get(other.alert.id), mechanism(own)) for other in similar
            ),
        )
        return messages.write_explanation(explanation, alert, model.vocabulary, similar)

    def rests_on(self, alert: Alert) -> tuple[str, ...]:
        """What an alert rests on, for a suppression."""
        return rests_on(self._model_of(alert), alert)

    def _model_of(self, alert: Alert) -> Model:
        """The model that raised an alert."""
        return self._engine.model_of(alert) or self._kept(alert.model)

    def _load(self, sha256: str) -> Model:
        model = model_from_files(self._store.model_files(sha256))
        if model.sha256 != sha256:
            raise ModelError(
                f"the alert store has another model, {model.sha256[:12]}, in the place of "
                f"{sha256[:12]}; nothing explains its alerts"
            )
        return model


def _mechanisms(
    model: Model, own: Explanation, similar: Sequence[StoredAlert]
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """What the newest of other alerts rest on, by their ids, as far as the same model tells."""
    known: dict[object, tuple[tuple[str, str], ...]] = {}
    for other in similar:
        alert = other.alert
        if alert.model != own.model:
            continue
        asked = (alert.tokens, tuple(sorted(alert.counts.items())))
        if asked not in known:
            if len(known) == _COMPARED:
                return
            known[asked] = _mechanism(model, alert)
        if known[asked]:
            yield alert.id, known[asked]


def _mechanism(model: Model, alert: Alert) -> tuple[tuple[str, str], ...]:
    try:
        return mechanism(explain(model, alert, checks=False))
    except InputError:  # too little is at hand of that one; it says so when it is asked for itself
        return ()
