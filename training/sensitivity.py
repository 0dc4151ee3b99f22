"""What a model would notice: normal streams with one thing changed, and how many raise an alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..interpret.card import Noticed
from ..model.calibration import Calibration
from ..model.folder import Model
from .budget import Budget
from .calibrate import calibrate
from .evaluate import scores_of, stream_scores
from .held_out import HeldOut, Stream, statistics_of

_STREAMS = 200
_LONGEST = 512  # events of a stream that are taken
_PIECE = 8  # events of another stream, at most
_WIDER = (*range(2, 11), 20)  # times the budget, what is tried
_WIDEST = 0.1  # false alerts a stream
_SEEN = 0.5  # of the streams with an unknown event
_STEADY = 10  # streams past a threshold that no single one sets

Names = list[str | None]
Change = Callable[[Names, Names, np.random.Generator], Names]  # of a stream, beside another one


def _unknown(names: Names, _: Names, rng: np.random.Generator) -> Names:
    place = rng.integers(len(names) + 1)
    return [*names[:place], None, *names[place:]]


def _other(names: Names, other: Names, rng: np.random.Generator) -> Names:
    place = rng.integers(len(names))
    return [*names[:place], other[rng.integers(len(other))], *names[place + 1 :]]


def _left_out(names: Names, _: Names, rng: np.random.Generator) -> Names:
    place = rng.integers(len(names))
    return [*names[:place], *names[place + 1 :]]


def _swapped(names: Names, _: Names, rng: np.random.Generator) -> Names:
    places = [i for i in range(len(names) - 1) if names[i] != names[i + 1]]
    if not places:
        return names
    place = rng.choice(places)
    return [*names[:place], names[place + 1], names[place], *names[place + 2 :]]


def _foreign(names: Names, other: Names, rng: np.random.Generator) -> Names:
    place, start = rng.integers(len(names) + 1), rng.integers(len(other))
    return [*names[:place], *other[start : start + _PIECE], *names[place:]]


def _shuffled(names: Names, _: Names, rng: np.random.Generator) -> Names:
    return [names[i] for i in rng.permutation(len(names))]


def _cut_short(names: Names, _: Names, rng: np.random.Generator) -> Names:
    return names[: rng.integers(len(names) // 4, 3 * len(names) // 4 + 1)]


UNCHANGED, UNKNOWN = "unchanged", "unknown event"
CHANGES: dict[str, Change] = {
    UNKNOWN: _unknown,
    "other event": _other,
    "event left out": _left_out,
    "two swapped": _swapped,
    "foreign piece": _foreign,
    "shuffled": _shuffled,
    "cut short": _cut_short,
}


def noticed(model: Model, normal: Sequence[Stream], *, seed: int) -> list[Noticed]:
    """Alerts on up to 200 of these streams as they are, then with each of `CHANGES` made once.

    Of an endless stream, pieces of 512 events stand for streams. A stream that a change leaves as
    it is does not count, nor does one cut short whose end was not seen.
    """
    rng = np.random.default_rng(seed)
    taken = _taken(model, normal, rng)
    changed = {name: _changed(taken, change, rng) for name, change in CHANGES.items()}
    return [_alerts(model, name, some) for name, some in {UNCHANGED: taken, **changed}.items()]


def sentence(found: Sequence[Noticed]) -> str:
    """The shares in one line, without changes that made no difference to any stream."""
    shares = [f"{one.change} {one.share:.0%}" for one in found if one.streams]
    return f"alerts on normal streams with one change: {', '.join(shares)}"


def calibrate_to_see(
    model: Model,
    held: HeldOut,
    normal: Sequence[Stream],
    budget: Budget,
    rate: float,
    *,
    asked: bool,
    seed: int,
) -> tuple[Calibration, str | None]:
    """The calibration for this budget if half of the streams with an unknown event raise an alert
    then, else for one at which they do; and what there is to say about that.

    Where few streams calibrate, the oddest one or two may set a threshold that nothing else passes.
    A budget that was asked for stays, and so does one that more than ten streams calibrate: there
    odd streams are a part of the log. What budget would do is said, then.
    """
    rng = np.random.default_rng(seed)
    taken = _changed(_taken(model, normal, rng), _unknown, rng)
    calibration = calibrate(model, held, budget=budget, rate=rate)
    statistics = statistics_of(replace(model, calibration=calibration), taken)

    def seen(calibration: Calibration) -> float:
        scores = scores_of(replace(model, calibration=calibration), statistics)
        return float(scores.alerts().mean())

    share = seen(calibration)
    if share >= _SEEN:
        return calibration, None
    said = "an event that training never saw raises an alert"
    for factor in _WIDER:
        if rate * factor > _WIDEST:
            break
        wider = calibrate(model, held, budget=budget.scaled(factor), rate=rate * factor)
        widely = seen(wider)
        if widely < _SEEN:
            continue
        if asked or wider.rate * (len(held.whole.values) + 1) > _STEADY:
            words = f"with --budget '{wider.budget}' {widely:.0%}"
            return calibration, f"{said} {share:.0%} of the time, {words}"
        words = f"at {budget} {said} {share:.0%} of the time, here {widely:.0%}"
        return wider, f"budget: {wider.budget}; {words}"
    words = "whatever the budget; more normal streams may help"
    return calibration, f"{said} {share:.0%} of the time, {words}"


def _taken(model: Model, normal: Sequence[Stream], rng: np.random.Generator) -> list[Stream]:
    if model.config.streams.endless:
        names = max(normal, key=lambda stream: len(stream.names)).names
        starts = rng.integers(0, max(1, len(names) - _LONGEST + 1), _STREAMS)
        return [_untimed(names[i : i + _LONGEST], started=False, ended=False) for i in starts]
    some = [normal[i] for i in rng.permutation(len(normal))[:_STREAMS].tolist()]
    return [
        _untimed(
            stream.names[:_LONGEST],
            started=stream.started,
            ended=stream.ended and len(stream.names) <= _LONGEST,
        )
        for stream in some
    ]


def _changed(streams: Sequence[Stream], change: Change, rng: np.random.Generator) -> list[Stream]:
    changed = []
    for stream in streams:
        names, other = list(stream.names), streams[int(rng.integers(len(streams)))]
        different = change(names, list(other.names), rng)
        if different not in ([], names) and (stream.ended or change is not _cut_short):
            changed.append(_untimed(different, started=stream.started, ended=stream.ended))
    return changed


def _untimed(names: Sequence[str | None], *, started: bool, ended: bool) -> Stream:
    return Stream(names, np.full(len(names), np.nan), started, ended)


def _alerts(model: Model, change: str, streams: Sequence[Stream]) -> Noticed:
    alerts = int(stream_scores(model, streams).alerts().sum()) if streams else 0
    return Noticed(change, alerts, len(streams))
