"""A new version of a model with one path damped: all that derives from weights made anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from ..interpret.card import Edited
from ..interpret.edit import Edit, Wish, edit
from ..interpret.golden import golden_scores
from ..interpret.reference import fit_reference
from ..interpret.sample import read_windows
from ..model.errors import BudgetError
from ..model.folder import Model
from .budget import parse_budget
from .calibrate import calibrate, least_count_scale
from .held_out import Stream, hold_out, units_of
from .outliers import set_apart
from .sensitivity import noticed


def edited(model: Model, wish: Wish, normal: Sequence[Stream] = ()) -> tuple[Model, Edit]:
    """The edited model and what the edit does on held-out windows; the edit goes on record.

    The means of explanations and the golden scores are taken anew over the windows that the folder
    keeps; counts of the training data hold as they are. Thresholds are set anew on `normal`
    streams, and kept if there are none: the streams that set them are not in the folder.
    """
    weights, done = edit(model, wish)
    windows = read_windows(model.reference)
    fitted = fit_reference(weights, windows)
    anew = {name: fitted[name] for name in ("means", "mean")}
    anew["surprisals"] = golden_scores(weights, windows)
    version = replace(model, weights=weights, reference={**model.reference, **anew})
    if normal:
        version = recalibrated(version, normal)
    entry = done.entry
    noted = Edited(
        model.sha256,
        done.path,
        done.by,
        row=entry.row if entry else None,
        column=entry.column if entry else None,
        loss=done.loss,
        measured=done.measured,
        calibrated=len(normal),
        last=entry.last if entry else None,
    )
    summary = {**model.summary, "edits": [*model.summary.get("edits", []), asdict(noted)]}
    summary.pop("sensitivity", None)  # was that of the model before
    if normal:
        summary["sensitivity"] = [asdict(one) for one in noticed(version, normal, seed=0)]
    return replace(version, summary=summary), done


def recalibrated(model: Model, normal: Sequence[Stream]) -> Model:
    """The model with its thresholds set anew for the same budget, on streams new to its decoder."""
    held, units = hold_out(model, normal, seed=0), units_of(normal, model.config.streams)
    held, apart, _ = set_apart(held, units, count_scale=least_count_scale(model))
    rate, budget = model.calibration.rate, model.calibration.budget
    if rate * (len(held.whole.values) + 1) < 1.0 - 1e-9:
        raise BudgetError(
            f"a budget of {budget} asks for {math.ceil(1.0 / rate) - 1:,} normal streams to "
            f"calibrate on, there are {len(held.whole.values):,}; give more, or leave --calibrate "
            "out to keep the thresholds"
        )
    return replace(
        model,
        calibration=calibrate(model, held, budget=parse_budget(budget), rate=rate),
        held={
            "whole": held.whole.values.astype(np.float32),
            "joined": held.joined.values.astype(np.float32),
            "apart": apart.astype(np.uint8),
        },
    )
