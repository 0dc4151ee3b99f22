"""What Prometheus sees. No label holds a stream: their number has no bound.

`model` is the name of a model that is served. Where that is empty, Prometheus takes the label for
one that is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ..model.alert import DETECTORS
from ..model.finding import Observed
from ..model.folder import Model

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_EVENTS = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
_REFUSALS = ("no_token", "unknown_token", "scope", "no_certificate")
_RELOADS = ("loaded", "unchanged", "refused")
_OUTCOMES = (
    "scored",
    "repeated",
    "unkeyed",
    "continuation",
    "broken",
    "abandoned",
    "refused",
    "unknown_model",
)


class Metrics:
    """One service's counters, with a registry of their own; `of` has those of one model."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.events = Counter(
            "offscript_events",
            "Events and passed-over lines.",
            ["model", "outcome"],
            registry=registry,
        )
        self.events_limited = Counter(
            "offscript_events_limited",
            "Events past the limit of the token or address that sent them, each time they came.",
            ["sender"],
            registry=registry,
        )
        self.batches = Counter("offscript_batches", "Batches accepted.", registry=registry)
        self.batch_events = Histogram(
            "offscript_batch_events", "Events scored at a time.", buckets=_EVENTS, registry=registry
        )
        self.queue_seconds = Histogram(
            "offscript_queue_seconds",
            "Time from the acceptance of a batch to its scoring.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.score_seconds = Histogram(
            "offscript_score_seconds",
            "Time to score what waited.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_events = Gauge(
            "offscript_queue_events", "Events accepted and not scored yet.", registry=registry
        )
        self.queue_bytes = Gauge(
            "offscript_queue_bytes", "Bytes accepted and not scored yet.", registry=registry
        )
        self.streams_active = Gauge(
            "offscript_streams_active", "Streams remembered.", ["model", "shard"], registry=registry
        )
        self.streams_evicted = Counter(
            "offscript_streams_evicted",
            "Streams forgotten to make room.",
            ["model"],
            registry=registry,
        )
        self.events_known = Counter(
            "offscript_events_known",
            "Events whose stream had done what another did before: looked up, not computed.",
            ["model"],
            registry=registry,
        )
        self.events_late = Counter(
            "offscript_events_late",
            "Events scored after one of their stream with a later time.",
            ["model"],
            registry=registry,
        )
        self.template_misses = Counter(
            "offscript_template_misses",
            "Events never seen in training.",
            ["model"],
            registry=registry,
        )
        self.times_clamped = Counter(
            "offscript_times_clamped",
            "Events dated over ten minutes after they came, which count as ten minutes.",
            ["model"],
            registry=registry,
        )
        self.surprisal_drift = Gauge(
            "offscript_surprisal_drift",
            "How far the surprise of recent events is from the training's (stability index).",
            ["model"],
            registry=registry,
        )
        self.path_share = Gauge(
            "offscript_path_share",
            "Share of a path of the model in moving the surprise of recent events; they sum to 1.",
            ["model", "path"],
            registry=registry,
        )
        self.path_share_held_out = Gauge(
            "offscript_path_share_held_out",
            "The same on the held-out events that are kept with the model.",
            ["model", "path"],
            registry=registry,
        )
        self.last_event = Gauge(
            "offscript_last_event_timestamp_seconds",
            "Time of the latest event, as it says itself.",
            ["model"],
            registry=registry,
        )
        self.alerts = Counter(
            "offscript_alerts",
            "Alerts raised, repeats included.",
            ["model", "detector"],
            registry=registry,
        )
        self.alerts_suppressed = Counter(
            "offscript_alerts_suppressed",
            "Alerts kept quiet, as people said.",
            registry=registry,
        )
        self.alerts_unexamined = Counter(
            "offscript_alerts_unexamined",
            "Alerts kept quiet by their kind, as there was no time to see what they rest on.",
            registry=registry,
        )
        self.incidents_held = Counter(
            "offscript_incidents_held",
            "Incidents that began past the budget and are told as part of a storm.",
            registry=registry,
        )
        self.sink_incidents = Counter(
            "offscript_sink_incidents",
            "Incidents told to a receiver, each time (Alertmanager: every 15 s), or refused by it.",
            ["sink", "outcome"],
            registry=registry,
        )
        self.sink_up = Gauge(
            "offscript_sink_up", "1 if the last message was taken.", ["sink"], registry=registry
        )
        self.alerts_stored = Gauge(
            "offscript_alerts_stored",
            "Alerts in the store when it was last looked at for old ones, once a minute.",
            registry=registry,
        )
        self.alerts_deleted = Counter(
            "offscript_alerts_deleted",
            "Alerts deleted as they were old or too many.",
            registry=registry,
        )
        self.budget = Gauge(
            "offscript_alert_budget",
            "False alerts that are acceptable a stream; of endless streams, a block of time.",
            ["model"],
            registry=registry,
        )
        self.alerts_allowed = Counter(
            "offscript_alerts_allowed",
            "False alerts that the budget allows for the streams seen so far.",
            ["model"],
            registry=registry,
        )
        self.alerts_pending = Gauge(
            "offscript_alerts_pending", "Alerts that wait for the store.", registry=registry
        )
        self.store_up = Gauge(
            "offscript_store_up", "1 if the last write to the store worked.", registry=registry
        )
        self.store_commit_seconds = Histogram(
            "offscript_store_commit_seconds",
            "Time of one transaction.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.spool_bytes = Gauge(
            "offscript_spool_bytes",
            "Raw lines kept on disk.",
            ["model", "shard"],
            registry=registry,
        )
        self.rpc_seconds = Histogram(
            "offscript_rpc_seconds",
            "Time of a call; of a stream, its life.",
            ["method", "code"],
            buckets=(*_SECONDS, 60.0, 3600.0),
            registry=registry,
        )
        refused = Counter(
            "offscript_calls_refused",
            "Calls refused for want of a token, of a known one, of its scope, or of a certificate.",
            ["reason"],
            registry=registry,
        )
        self.calls_refused = {reason: refused.labels(reason) for reason in _REFUSALS}
        self.ready = Gauge("offscript_ready", "1 while requests are served.", registry=registry)
        self.model_info = Gauge(
            "offscript_model_info",
            "A model that is served.",
            ["model", "sha256"],
            registry=registry,
        )
        self.model_loaded = Gauge(
            "offscript_model_loaded_timestamp_seconds",
            "When the model was loaded.",
            ["model"],
            registry=registry,
        )
        self.reloads = Counter(
            "offscript_reloads",
            "Models that took the place of the one that serves, were the same, or were refused.",
            ["model", "outcome"],
            registry=registry,
        )
        self._of: dict[str, ModelMetrics] = {}

    def of(self, model: str) -> ModelMetrics:
        """What is counted for the model of this name, and for all together."""
        if model not in self._of:
            self._of[model] = ModelMetrics(self, model)
        return self._of[model]

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)


class ModelMetrics:
    """What is counted for one model; the histograms are those of the whole service."""

    def __init__(self, service: Metrics, name: str) -> None:
        self.events = {outcome: service.events.labels(name, outcome) for outcome in _OUTCOMES}
        self.batch_events = service.batch_events
        self.queue_seconds = service.queue_seconds
        self.score_seconds = service.score_seconds
        self.streams_active = OfModel(service.streams_active, name)
        self.streams_evicted = service.streams_evicted.labels(name)
        self.events_known = service.events_known.labels(name)
        self.events_late = service.events_late.labels(name)
        self.template_misses = service.template_misses.labels(name)
        self.times_clamped = service.times_clamped.labels(name)
        self.surprisal_drift = service.surprisal_drift.labels(name)
        self.path_share = OfModel(service.path_share, name)
        self.path_share_held_out = OfModel(service.path_share_held_out, name)
        self.last_event = service.last_event.labels(name)
        self.alerts = {detector: service.alerts.labels(name, detector) for detector in DETECTORS}
        self.alerts_allowed = service.alerts_allowed.labels(name)
        self.spool_bytes = OfModel(service.spool_bytes, name)
        self.reloads = {outcome: service.reloads.labels(name, outcome) for outcome in _RELOADS}
        self._budget = service.budget.labels(name)
        self._info = OfModel(service.model_info, name)
        self._loaded = service.model_loaded.labels(name)

    def scored(self, shard: int, events: int, observed: Observed, streams: int) -> None:
        """Events were scored; so many streams are known now."""
        self.events["scored"].inc(events)
        self.batch_events.observe(events)
        self.template_misses.inc(observed.new)
        self.events_known.inc(observed.known)
        self.events_late.inc(observed.late)
        self.streams_evicted.inc(observed.evicted)
        self.streams_active.labels(shard).set(streams)

    def loaded(self, model: Model) -> None:
        """A model was loaded."""
        self._info.clear()
        self._info.labels(model.sha256).set(1)
        self._loaded.set_to_current_time()
        self._budget.set(model.calibration.rate)
        # Another model may have other paths.
        self.path_share.clear()
        self.path_share_held_out.clear()


class OfModel:
    """A gauge's series of one model, told apart by one more label."""

    def __init__(self, gauge: Gauge, model: str) -> None:
        self._gauge = gauge
        self._model = model
        self._values: set[Hashable] = set()
        self._lock = threading.Lock()  # what is shown is made anew while a model is loaded

    def labels(self, value: Hashable) -> Gauge:
        with self._lock:
            self._values.add(value)
            return self._gauge.labels(self._model, value)

    def clear(self) -> None:
        """Show none of them any longer."""
        with self._lock:
            while self._values:
                self._gauge.remove(self._model, self._values.pop())
