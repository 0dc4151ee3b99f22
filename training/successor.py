"""A newer model after one that serves: what it takes over, and how both judge the last day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..model.errors import OffscriptError
from ..model.event import EventConfig
from ..model.folder import Model
from ..model.logs import STANDARD_INPUT
from .compare import compare
from .config import TrainConfig
from .shift_text import shift_text
from .team import leads
from .train import train_model

_DAY_SECONDS = 86_400.0


def train_after(config: TrainConfig, before: Model, report: Callable[[str], None] = print) -> Model:
    """Train on newer logs, and report what becomes of alerts if the new model takes the place of
    `before`; what `config` leaves open is as it is there.
    """
    after = train_model(taken_over(config, before), report)
    if not leads():
        return after
    report("")
    try:
        shift = compare(
            before,
            after,
            () if STANDARD_INPUT in config.logs else config.logs,
            seconds=_DAY_SECONDS,
            without=config.exclude,
            split=lambda split: split in (None, config.split),
        )
    except OffscriptError as error:  # the model is there, whatever can be said of it
        report(f"what it changes was not found out: {error}")
        return after
    what = "held-out windows of the model before"
    if STANDARD_INPUT not in config.logs:
        what = "blocks" if after.config.streams.endless else "streams"
        if what == "streams" and after.config.events.time is not None:
            what += " of the last day"
        what += ", which the new model has learned from"
    report(shift_text(shift, what))
    return after


def taken_over(config: TrainConfig, before: Model) -> TrainConfig:
    """The config with how events are read, and the budget that was asked for, as `before` has them
    if nothing else is asked for. When streams have ended is learned anew, as pauses change.
    """
    events = before.config.events
    # What a model of an earlier version was asked for is not known, only what it came to.
    asked = before.summary.get("budget", before.calibration.budget)
    keyed_endless = before.config.streams.endless and events.stream_key is not None
    if config.format not in (None, events.format):
        events = EventConfig(config.format)  # fields, keys and times of another format say nothing
    elif config.event or config.message:  # one takes the place of the other
        events = replace(events, event=(), message=None)
    return replace(
        config,
        format=config.format or events.format,
        stream_key=config.stream_key or events.stream_key,
        event=config.event or events.event,
        message=config.message or events.message,
        time=config.time or events.time,
        masks=config.masks or events.masks,
        endless=config.endless or keyed_endless,
        budget=config.budget or asked,
    )
