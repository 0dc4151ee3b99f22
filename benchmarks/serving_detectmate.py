"""DetectMate's detectors of sequences, in a process and an environment of their own.

DetectMate is the nearest peer: a service of detectors for events that were made from lines. Its
detectors know no streams: each looks at the last ten events, whoever they are from. So they are
given the live streams' events not in turns but stream after stream, which makes most windows such
as they have learned. `event_sequence` knows windows, `scvs` what windows hold; DetectMate's DeepLog
takes seconds for an event that it has not just seen, and its bigrams are of letters in values.
`outside/detectmate.py` says what is timed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .serving_traffic import Recorded, traffic

DRIVER = Path(__file__).resolve().parent / "outside" / "detectmate.py"
REQUIREMENTS = DRIVER.with_suffix(".txt")
INTERPRETERS = ("python3.12", "python3.13", "python3.14")
DETECTORS = ("event_sequence", "scvs")
_TRAINING = 20_000  # events
_LIVE = 1_000  # streams
_EVENTS = 100_000  # then they come again
_SECONDS = 2.0  # of a turn


class Player:
    """A driver that has trained its detector."""

    def __init__(self, driver: subprocess.Popen[str], order: dict[str, object]) -> None:
        self._driver = driver
        self._ask(json.dumps(order))

    def events_per_second(self) -> float:
        """Of one turn."""
        return self._ask("")["events_per_second"]

    def _ask(self, line: str) -> dict[str, float]:
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        with suppress(BrokenPipeError):  # it has ended: so does what it says
            self._driver.stdin.write(line + "\n")
            self._driver.stdin.flush()
        answer = self._driver.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._driver.args!r} ended with status {self._driver.wait()}")
        values: dict[str, float] = json.loads(answer)
        return values


def live_events(source: Recorded) -> list[int]:
    """Events of a thousand live streams, stream after stream."""
    by_stream: dict[str, list[str]] = {}
    coming = traffic(source, _LIVE, _EVENTS, idle_seconds=40.0, seed=0)
    piece = next(coming)
    for key, name in zip(piece.stream, piece.name, strict=True):
        by_stream.setdefault(key, []).append(name)
    number = {name: at + 1 for at, name in enumerate(source.names)}
    return [number[name] for names in by_stream.values() for name in names]


@contextmanager
def player(
    python: Path, detector: str, source: Recorded, *, driver: Path = DRIVER
) -> Iterator[Player]:
    """A process with this detector, trained on the set's streams."""
    order = {
        "detector": detector,
        "train": (source.ids[:_TRAINING] + 1).tolist(),
        "events": live_events(source),
        "seconds": _SECONDS,
    }
    # -P: the driver's folder is not a place to import from.
    with subprocess.Popen(
        [python, "-P", driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Player(process, order)
        finally:
            process.kill()
