"""The headline: a live replay of interleaved events through the real service, and what comes of it.

Events are sent in their order, as fast as `offscript serve`, in a process of its own, takes them;
event time is that of the recording. Streams that were under way where the replay begins are joined
in the middle; ends come from silence alone; after the last event the log stays silent for longer
than the idle time. One model a scenario, with the default preset and the default budget. Each
scenario is replayed three times: as it is (its speed is measured), with a restart half way (all
other measures; `restart_difference` counts the alerts that differ from those of the first), and
with a deploy half way, for which normal sessions are rewritten (its alerts are those of causes that
the first did not have). What is replayed, what is wrong in it and what the deploy does:
replay_scenarios.py; what is measured: replay_measures.py.

Beside it an n-gram and event counts hear the same events, with the same joins, ends and budget:
replay_baselines.py. Counts are judged when a stream ends, so an endless one has none.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..model.folder import Model, load_model
from ..training.train import train_model
from .data import data_folder
from .replay_baselines import CountsReplay, NGramReplay, Replayer, rounds
from .replay_events import Events, Sent, first_wrong, read_events
from .replay_measures import Heard, Measures, added, difference, incidents, measures
from .replay_scenarios import SCENARIOS, Scenario
from .replay_server import Replayed, Service, replay
from .results import Row, run_results, write_results


def measure(scenario: Scenario, seed: int) -> list[Row]:
    """Train unless there is a model, replay, and compare with what was truly wrong."""
    out = scenario.train.out
    model = load_model(out) if out.exists() else train_model(scenario.train, _say)
    changed_sent, changed = scenario.deployed()
    owners = [owner or "" for owner in scenario.owners] if scenario.mixed else None
    events = read_events(model, scenario.sent, owners)
    wrong = first_wrong(events, scenario.anomalies)
    _say(f"{len(events):,} events; {len(wrong):,} go wrong; the deploy changes {len(changed):,}")

    plain = _served("as it is", model, out, scenario.sent)
    half = len(scenario.sent) // 2
    restarted = _served("with a restart", model, out, scenario.sent, restart_at=half)
    changed_heard = _served("with a deploy", model, out, changed_sent).heard
    name = f"{scenario.train.preset} {model.sha256[:12]}"
    found = _found(model, events, wrong, restarted.heard)
    found |= _of_deploy(plain.heard, changed_heard, len(changed))
    found["restart_difference"] = (
        difference(plain.heard.alerts, restarted.heard.alerts),
        len(plain.heard.alerts),
    )
    found["events_per_second"] = (plain.events / plain.seconds, plain.events)
    found["lines_per_second"] = (len(scenario.sent) / plain.seconds, len(scenario.sent))
    rows = _rows(scenario.name, "offscript", name, found)

    parts = rounds(model, scenario.train)
    baselines: list[NGramReplay | CountsReplay] = [NGramReplay(model, parts, seed)]
    if not model.config.streams.endless:
        baselines.append(CountsReplay(model, parts, seed))
    kept = _kept(model, events)
    kept_changed = _kept(model, read_events(model, changed_sent, None))
    for baseline in baselines:
        heard = baseline.hear(kept)
        found = _found(model, events, wrong, heard)
        found |= _of_deploy(heard, baseline.hear(kept_changed), len(changed))
        rows += _rows(scenario.name, baseline.name, baseline.setting, found)
    return rows


def _served(
    title: str, model: Model, folder: Path, sent: Sequence[Sent], restart_at: int | None = None
) -> Replayed:
    until = None
    if not model.config.streams.endless:
        until = _silent_until(model, read_events(model, sent[-1000:], None))
    with tempfile.TemporaryDirectory() as scratch, Service(folder, Path(scratch)) as service:
        done = replay(service, sent, silent_until=until, restart_at=restart_at)
    _say(
        f"{title}: {done.events:,} events in {done.seconds:.1f} s, "
        f"{len(done.heard.alerts):,} alerts"
    )
    return done


def _kept(model: Model, events: Events) -> Replayer:
    replayer = Replayer(model)
    replayer.observe(events)
    replayer.end_idle(_silent_until(model, events))
    return replayer


def _silent_until(model: Model, events: Events) -> float:
    """When the last stream has been silent for the idle time."""
    return float(events.time[-1]) + model.config.streams.idle_seconds + 1.0


def _found(model: Model, events: Events, wrong: dict[str, int], heard: Heard) -> Measures:
    streams = model.config.streams
    block = streams.block_seconds if streams.endless else 0.0
    return measures(events, wrong, heard, rate=model.calibration.rate, block_seconds=block)


def _of_deploy(before: Heard, after: Heard, changed: int) -> Measures:
    alerts = added(before.alerts, after.alerts)
    return {
        "deploy_alerts": (len(alerts), changed),
        "deploy_incidents": (len(incidents(alerts)), changed),
    }


def _rows(dataset: str, method: str, model: str, found: Measures) -> list[Row]:
    rows = [
        Row(dataset, method, model, measure, round(value, 5), n=n)
        for measure, (value, n) in found.items()
    ]
    for row in rows:
        _say(f"{method:<10}{row.measure:<22}{row.value:>14,.4g}   n = {row.n:,}")
    return rows


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def main() -> None:
    """Run the scenarios that are asked for, all if none is, and write results/replay.json."""
    parser = argparse.ArgumentParser(description="A live replay through the real service.")
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="all if left out")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="keep models here, and take them up again")
    options = parser.parse_args()
    began = time.perf_counter()
    rows: list[Row] = []
    with ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        for name in options.scenarios or SCENARIOS:
            print(name, flush=True)
            data = Path() if name.startswith("postgres") else data_folder(options.data)
            rows += measure(SCENARIOS[name](data, work, options.seed), options.seed)
    results = run_results("replay", rows, seed=options.seed, seconds=time.perf_counter() - began)
    print(write_results(results))


if __name__ == "__main__":
    main()
