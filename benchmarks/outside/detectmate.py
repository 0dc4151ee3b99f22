"""Times one of DetectMate's detectors of sequences; runs in an environment of its own.

The first line of standard input is a JSON object: `detector`, one of `DETECTORS`; `train` and
`events`, lists of event ids; `seconds`. Once the detector is trained it is answered with
`{"trained": N}`. Every further line asks for a turn: the events from where the turn before ended,
over and over, for so many seconds, answered with `{"events_per_second", "events", "alerts"}`.

What is timed is `process` of a detector, from a parsed record to an alert or none. The records are
made before: neither DetectMate's parser nor its transport is part of the time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import cycle

answers, sys.stdout = sys.stdout, sys.stderr  # its log goes to standard output

from detectmatelibrary import detectors  # noqa: E402  # it takes standard output when imported
from detectmatelibrary.schemas import ParserSchema  # noqa: E402

WINDOW = 10  # events, as the library has it where it says how many
DETECTORS = {
    "event_sequence": lambda: detectors.EventSequenceDetector(
        config=detectors.EventSequenceDetectorConfig(auto_config=False, fixed_window_size=WINDOW)
    ),
    "scvs": lambda: detectors.SCVSDetector(
        config=detectors.SCVSDetectorConfig(auto_config=False, window_size=WINDOW)
    ),
}


def record(event: int) -> ParserSchema:
    """A log line of this kind, as DetectMate's parsers would give it."""
    fields = {"EventID": event, "logID": "0", "logFormatVariables": {"Time": "1700000000"}}
    return ParserSchema(fields)


def main() -> None:
    """Train, then play a turn for each line."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    order = json.loads(sys.stdin.readline())
    records = {event: record(event) for event in {*order["train"], *order["events"]}}
    detector = DETECTORS[order["detector"]]()
    detector.update_state("keep_training")
    for event in order["train"]:
        detector.process(records[event])
    detector.update_state("stop_training")
    coming = cycle([records[event] for event in order["events"]])
    detector.process(next(coming))  # ends the training
    _answer(trained=len(order["train"]))
    for _ in sys.stdin:
        events = alerts = 0
        began = time.perf_counter()
        until = began + order["seconds"]
        while (now := time.perf_counter()) < until:
            alerts += detector.process(next(coming)) is not None
            events += 1
        _answer(events_per_second=events / (now - began), events=events, alerts=alerts)


def _answer(**values: float) -> None:
    print(json.dumps(values), file=answers, flush=True)


if __name__ == "__main__":
    main()
