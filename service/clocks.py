"""What time it is for each sender: its events' own time, with the wall clock as a backstop."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

MOST = 10_000  # senders whose time is known
_RETURN_SECONDS = 60.0  # that senders have to connect again after a restart
_STEP_SECONDS = 60.0  # back in time: what comes then is another log of the same sender's


class Clocks:
    """Event time by sender, each of which has a number from 1 to `MOST`.

    A sender's clock shows the latest time in its last batch and goes on at the wall clock's pace
    while it is silent. It says nothing about the streams of others. A sender of an old log beside a
    live one has two hands, and is as late as the one behind, until that has not moved for a minute
    in which the other did. Past `MOST` those silent for longest are forgotten; the number 0 of what
    is left of them is as late as the wall clock.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # the longest silent first
        self._free = list(range(MOST, 0, -1))
        self._event = np.full((2, MOST + 1), math.nan)  # what each hand showed
        self._heard = np.full((2, MOST + 1), -math.inf)  # and when, by the wall clock

    @property
    def numbers(self) -> Mapping[str, int]:
        return self._numbers

    def heard(self, latest: Mapping[str, float], wall: float) -> list[int]:
        """A batch came in with events of these senders, the latest of each at this time (nan: not
        known); returns the numbers of those that are forgotten for them.
        """
        known = [sender for sender in latest if sender in self._numbers]
        self._numbers |= {sender: self._numbers.pop(sender) for sender in known}
        gone = self._make_room(len(latest) - len(known))
        for sender, time in latest.items():
            if sender not in self._numbers:
                self._numbers[sender] = self._free.pop()
            if not math.isnan(time):
                self._move(self._numbers[sender], time, wall)
        return gone

    def times(self, wall: float) -> dict[str, float]:
        """Event time of each sender at wall time `wall`."""
        now = self.now(wall)
        return {sender: float(now[number]) for sender, number in self._numbers.items()}

    def restore(self, times: Mapping[str, float], numbers: Mapping[str, int], wall: float) -> None:
        """Go on from what `times` and `numbers` said; one that speaks again brings its own time.

        Until then its clock stands still for a while: what happened during the restart is not lost
        but still to come.
        """
        self._numbers = dict(numbers)
        known = set(self._numbers.values())
        self._free = [number for number in range(MOST, 0, -1) if number not in known]
        for sender, number in self._numbers.items():
            self._event[0, number] = times[sender]
            self._heard[0, number] = wall + _RETURN_SECONDS

    def now(self, wall: float) -> Float64[np.ndarray, " numbers"]:
        """Event time at wall time `wall` by number; nan where there is no such sender."""
        moved = self._heard >= self._heard.max(axis=0) - _STEP_SECONDS
        shown = self._event + np.maximum(0.0, wall - self._heard)
        now = np.fmin.reduce(np.where(moved, shown, math.nan))
        now[0] = wall
        return np.asarray(now, dtype=np.float64)

    def _make_room(self, senders: int) -> list[int]:
        if senders <= len(self._free):
            return []
        count = max(senders - len(self._free), MOST // 8)
        gone = [self._numbers.pop(sender) for sender in list(self._numbers)[:count]]
        self._event[:, gone], self._heard[:, gone] = math.nan, -math.inf
        self._free += gone
        return gone

    def _move(self, number: int, latest: float, wall: float) -> None:
        """Move the nearer hand, or a second one where time steps back."""
        event, heard = self._event[:, number].tolist(), self._heard[:, number].tolist()
        ahead = [latest - (event[at] + max(0.0, wall - heard[at])) for at in (0, 1)]
        hand = 0 if heard[0] >= heard[1] else 1
        other = 1 - hand
        if heard[other] >= heard[hand] - _STEP_SECONDS:
            moves = abs(ahead[other]) < abs(ahead[hand])
        else:
            moves = ahead[hand] < -_STEP_SECONDS
        at = other if moves else hand
        self._event[at, number], self._heard[at, number] = latest, wall
