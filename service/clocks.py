"""What time it is for the streams: the events' own time, with the wall clock as a backstop."""

from __future__ import annotations

import math
from collections.abc import Mapping

_AHEAD_SECONDS = 60.0  # events may be dated this much later than now; what is more is a wrong clock
_RETURN_SECONDS = 60.0  # that clients have to connect again after a restart


class Clocks:
    """Event time, by the clients that send.

    A client's clock shows the latest time in its last batch and goes on at the wall clock's pace
    while it is silent. The time is that of the slowest client, so that replaying an old log beside
    a live one ends no stream too early; a client silent for longer than `idle_seconds` is left out,
    as its own streams are over by then.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._clocks: dict[str, tuple[float, float]] = {}  # client → event time, wall time

    def heard(self, client: str, latest: float, wall: float) -> None:
        """A client's batch came in whose latest event has the time `latest`."""
        if not math.isnan(latest):
            self._clocks[client] = (min(latest, wall + _AHEAD_SECONDS), wall)

    def times(self, wall: float) -> dict[str, float]:
        """Event time of each client at wall time `wall`."""
        return {
            client: event + max(0.0, wall - heard)
            for client, (event, heard) in self._clocks.items()
        }

    def restore(self, times: Mapping[str, float], wall: float) -> None:
        """Go on from what `times` said; a client that speaks again brings its own time.

        Until then its clock stands still for a while: what happened during the restart is not lost
        but still to come.
        """
        heard = wall + _RETURN_SECONDS
        self._clocks = {client: (event, heard) for client, event in times.items()}

    def of(self, idle_seconds: float) -> Clocks:
        """The same clocks for streams that are over after another silence."""
        clocks = Clocks(idle_seconds)
        clocks._clocks = self._clocks
        return clocks

    def now(self, wall: float) -> float:
        """Event time at wall time `wall`; nan if no client was ever heard."""
        if not self._clocks:
            return math.nan
        newest = max(self._clocks, key=lambda client: self._clocks[client][1])
        self._clocks = {
            client: (event, heard)
            for client, (event, heard) in self._clocks.items()
            if client == newest or wall - heard <= self._idle_seconds
        }
        return min(self.times(wall).values())
