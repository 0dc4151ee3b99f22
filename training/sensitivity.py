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
_SEEN = 0.5  # of the streams with an unknown event, beyond those that raise an alert without it
_BLIND = 0.1  # of the streams with a change; fewer are hardly any
_NOISY = 0.5  # of the pieces of an endless stream as it is, which hold many blocks
_FAR = 5  # times the budget, of streams as they are
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


UNCHANGED, UNKNOWN, SHUFFLED = "unchanged", "unknown event", "shuffled"
CHANGES: dict[str, Change] = {
    UNKNOWN: _unknown,
    "other event": _other,
    "event left out": _left_out,
    "two swapped": _swapped,
    "foreign piece": _foreign,
    SHUFFLED: _shuffled,
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


def warning(model: Model, found: Sequence[Noticed], wider: Budget | None) -> str | None:
    """What makes the model useless, if anything does, and what may help: a `wider` budget or logs.

    Order alone is not enough to see: of a long stream a shuffle leaves nothing as it was.
    """
    alone = next(one.share for one in found if one.change == UNCHANGED)
    endless, rate = model.config.streams.endless, model.calibration.rate
    if alone >= (_NOISY if endless else max(_BLIND, _FAR * rate)):
        unit = "pieces of the log" if endless else "streams"
        return f"warning: {alone:.0%} of the normal {unit} raise an alert; train on more logs"
    if max(one.share - alone for one in found if one.change != SHUFFLED) >= _BLIND:
        return None
    advice = f"train with --budget '{wider}', or on more logs" if wider else "train on more logs"
    return f"warning: this model raises an alert for hardly any change; {advice}"


def calibrate_to_see(
    model: Model,
    held: HeldOut,
    normal: Sequence[Stream],
    budget: Budget,
    rate: float,
    *,
    asked: bool,
    seed: int,
) -> tuple[Calibration, str | None, Budget | None]:
    """The calibration for this budget if half of the streams with an unknown event raise an alert
    then that they do not raise without it, else for one at which they do; what there is to say
    about that; and the budget at which they would.

    Where few streams calibrate, the oddest one or two may set a threshold that nothing else passes.
    A budget that was asked for stays, and so does one that more than ten streams calibrate: there
    odd streams are a part of the log. What budget would do is said, then.
    """
    rng = np.random.default_rng(seed)
    taken = _taken(model, normal, rng)
    calibration = calibrate(model, held, budget=budget, rate=rate)
    calibrated = replace(model, calibration=calibration)
    unchanged, unknown = (
        statistics_of(calibrated, some) for some in (taken, _changed(taken, _unknown, rng))
    )

    def seen(calibration: Calibration) -> tuple[float, float]:
        """The share that an unknown event adds, and the share that raises an alert without it."""
        judge = replace(model, calibration=calibration)
        alone, share = (
            float(scores_of(judge, some).alerts().mean()) for some in (unchanged, unknown)
        )
        return share - alone, alone

    share, alone = seen(calibration)
    if share >= _SEEN:
        return calibration, None, None
    said = "an event that training never saw raises an alert"
    for factor in _WIDER:
        if rate * factor > _WIDEST:
            break
        wish = budget.scaled(factor)
        wider = calibrate(model, held, budget=wish, rate=rate * factor)
        widely, _ = seen(wider)
        if widely < _SEEN:
            continue
        if asked or wider.rate * (len(held.whole.values) + 1) > _STEADY:
            words = f"with --budget '{wish}' {widely:.0%}"
            return calibration, f"{said} {share:.0%} of the time, {words}", wish
        words = f"at that {said} {share:.0%} of the time, here {widely:.0%}"
        return wider, f"budget: {wish} instead of {budget}; {words}", None
    without = f" more often than the {alone:.0%} without it" if alone else " of the time"
    words = "whatever the budget; more normal logs may help"
    return calibration, f"{said} {share:.0%}{without}, {words}", None


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
