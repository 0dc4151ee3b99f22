"""What alerts rest on, for those that may be kept quiet: explained a tenth of the time at most."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import Counter

from ..interpret.explain import explain
from ..interpret.mechanism import mechanism
from ..model.alert import OVERALL, Alert
from ..model.errors import InputError
from ..model.folder import Model
from ..model.vocabulary import NEW, SPECIAL

logger = logging.getLogger("offscript")

_SHARE = 0.1  # of one core
_BURST_SECONDS = 0.2  # of CPU time that may be spent at once after a rest
_KEPT = 1024  # windows of which it is known


def rests_on(model: Model, alert: Alert) -> tuple[str, ...]:
    """Names of the events that speak most for an alert that one event raised, strongest first.

    None of an alert that many events made fire, of an unknown event, which is odd whatever came
    before it, and where too little is at hand.
    """
    if alert.detector in OVERALL or alert.observed == SPECIAL[NEW]:
        return ()
    try:
        strongest = mechanism(explain(model, alert, checks=False))
    except InputError:
        return ()
    return tuple(dict.fromkeys(event for event, _ in strongest))


class Grounds:
    """Explains alerts of the models that are served; the caller sees to it that one thread does at
    a time.

    `unexamined` counts those for which there was no time, or no model any more.
    """

    def __init__(self, model_of: Callable[[Alert], Model | None], unexamined: Counter) -> None:
        self._model_of = model_of
        self._unexamined = unexamined
        self._left = _BURST_SECONDS
        self._since = time.monotonic()
        self._known: dict[object, tuple[str, ...]] = {}  # by window, the last asked for last

    def of(self, alert: Alert) -> tuple[str, ...]:
        """As `rests_on` says; none, too, if that cannot be found out now."""
        window = (alert.model, alert.detector, alert.tokens)
        found = self._known.pop(window, None)
        if found is None:
            now = time.monotonic()
            self._left = min(_BURST_SECONDS, self._left + _SHARE * (now - self._since))
            self._since = now
            model = self._model_of(alert)
            if model is None or self._left <= 0.0:
                self._unexamined.inc()
                return ()
            start = time.thread_time()
            try:
                found = rests_on(model, alert)
            except Exception:
                # The thread that stores alerts must not end for one that cannot be explained.
                logger.exception("alert %s cannot be explained", alert.id)
                found = ()
            self._left -= time.thread_time() - start
        self._known[window] = found
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return found
