"""An outcome against the labels: measure → value, under the names that the results use."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from ..model.calibration import conformal_threshold
from ..training.measures import (
    alerting,
    budgets_kept,
    delays,
    event_auroc,
    ranking,
    supported_rate,
)
from .labelled import Dataset
from .outcome import Outcome

IN_PART = (
    "auroc",
    "average_precision",
    "tpr_at_fpr_0.01",
    "f1_calibrated",
    "false_alert_ratio",
)


def measured(dataset: Dataset, outcome: Outcome, *, seed: int) -> dict[str, float]:
    """All measures that the set's labels and times and the method's scores allow.

    The threshold comes from the calibration streams at the rate called `budget`: 1 false alert in
    1,000 streams, else the smallest that they support; a model to serve has set its own from them.
    `_unseen`: on test streams that are new, and counted once, at the prevalence among them.
    `_closed`: without streams that may not have been over when the recording stopped. `f1_rule`: at
    the threshold that the method comes with. `_default`: at the budget that training chooses.
    """
    rate = supported_rate(len(outcome.calibration))
    alerts = alerts_of(outcome)
    anomalous, weight = dataset.anomalous, dataset.weight
    found = {
        "budget": rate,
        **ranking(outcome.test, anomalous, weight=weight),
        **alerting(alerts, anomalous, rate=rate, weight=weight),
    }
    if outcome.rule is not None:
        by_rule = alerting(outcome.test > outcome.rule, anomalous, rate=rate, weight=weight)
        found["f1_rule"] = by_rule["f1_calibrated"]
    for name, (rows, part_weight) in parts_of(dataset).items():
        if rows.all() or len(set(anomalous[rows].tolist())) < 2:
            continue
        part = {
            **ranking(outcome.test[rows], anomalous[rows], weight=part_weight),
            **alerting(alerts[rows], anomalous[rows], rate=rate, weight=part_weight),
        }
        found |= {f"{measure}_{name}": part[measure] for measure in IN_PART}
    found |= budgets_kept(
        outcome.calibration,
        outcome.test[~anomalous],
        moments=_moments_of_normals(dataset, outcome),
        seed=seed,
    )
    if outcome.events is not None and dataset.event_labels is not None:
        found["event_auroc"] = event_auroc(outcome.events, dataset.event_labels)
    if outcome.places is not None and dataset.first_wrong is not None:
        delay = delays(outcome.places, dataset.first_wrong)
        if len(delay):
            found["delay_events_p50"] = float(np.median(delay))
    return {measure: round(value, 5) for measure, value in (found | outcome.beside).items()}


def alerts_of(outcome: Outcome) -> Bool[np.ndarray, " test"]:
    """Which test streams pass the threshold that the calibration streams set; no label is asked."""
    if outcome.alerts is not None:
        return outcome.alerts
    rate = supported_rate(len(outcome.calibration))
    return np.asarray(outcome.test > conformal_threshold(outcome.calibration, rate))


def size_of(dataset: Dataset, measure: str) -> int:
    """What a measure was taken on: events, or normal, anomalous or all test streams."""
    if measure == "event_auroc":
        return sum(len(stream.names) for stream in dataset.test)
    anomalous = dataset.anomalous
    for part, (rows, _) in parts_of(dataset).items():
        if measure.endswith(f"_{part}"):
            anomalous = anomalous[rows]
    if measure.startswith("false_alert"):
        return int((~anomalous).sum())
    if measure.startswith(("tpr", "caught", "delay")):
        return int(anomalous.sum())
    return len(anomalous)


def parts_of(dataset: Dataset) -> dict[str, tuple[Bool[np.ndarray, " test"], float]]:
    """Parts of the test streams on which most is measured again, and what a normal one weighs."""
    return {"unseen": (dataset.unseen, 1.0), "closed": (dataset.closed, dataset.weight)}


def _moments_of_normals(dataset: Dataset, outcome: Outcome) -> NDArray[np.float64] | None:
    """When the streams that calibrated and then the normal test streams ended."""
    moments = dataset.moments()
    if moments is None:
        return None
    calibration, test = np.split(moments, [len(dataset.calibrating)])
    if outcome.kept is not None:
        calibration = calibration[outcome.kept]
    return np.concatenate([calibration, test[~dataset.anomalous]])
