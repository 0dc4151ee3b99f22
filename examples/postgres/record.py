"""Records the shop: `python -m offscript.examples.postgres.record --out DIR`.

Starts a PostgreSQL server, lets many sessions use the shop at once, and keeps the server's own log,
with labels of the sessions that were planted in its last part.
"""

from __future__ import annotations

import argparse
import bisect
import lzma
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from offscript.examples.postgres import backoffice, jobs, labels, storefront, warehouse
from offscript.examples.postgres.labels import Label, Part, Split
from offscript.examples.postgres.planted import KINDS, Planted
from offscript.examples.postgres.server import ServerError, running_server
from offscript.examples.postgres.session import Shop

CONNECTIONS = 24  # sessions at a time
PARTS = {"train": 0.55, "calibrate": 0.20, "test": 0.25}  # of the normal sessions

# How many of 100 normal sessions are of which type.
MIX: dict[Callable[[Shop, int], None], float] = {
    storefront.guest_visit: 18,
    storefront.customer_visit: 30.5,
    jobs.gift_card_sale: 4,
    backoffice.support_cases: 9,
    backoffice.correct_customer: 6,
    backoffice.change_telephone: 4,
    backoffice.administrate: 5,
    backoffice.report: 5,
    backoffice.export: 4,
    warehouse.restock: 5,
    jobs.clean_up: 5,
    jobs.upkeep: 1.5,
    jobs.health_check: 1.5,
    jobs.mistyped_password: 1.5,
}


@dataclass(frozen=True)
class Task:
    """One session to be held, with those that it opens beside itself."""

    number: int
    part: str
    hold: Callable[[Shop, int], Planted | None]


def plan(sessions: int, planted: int, seed: int) -> list[Task]:
    """The sessions in the order in which they begin, planted ones spread over the last part."""
    rng = random.Random(seed)
    bounds = [round(sessions * share) for share in (PARTS["train"], 1 - PARTS["test"])]
    normal = rng.choices(list(MIX), weights=list(MIX.values()), k=sessions)
    names = list(PARTS)
    held: list[tuple[str, Callable[[Shop, int], Planted | None]]] = [
        (names[bisect.bisect_right(bounds, place)], hold) for place, hold in enumerate(normal)
    ]
    last = [*held[bounds[1] :], *(("test", KINDS[i % len(KINDS)]) for i in range(planted))]
    rng.shuffle(last)
    held[bounds[1] :] = last
    return [Task(number, part, hold) for number, (part, hold) in enumerate(held)]


def hold_sessions(
    shop: Shop, tasks: Sequence[Task], *, quiet: bool
) -> tuple[dict[str, float], list[Planted]]:
    """When each part began, in unix seconds, and what was planted."""
    began: dict[str, float] = {}
    lock = threading.Lock()

    def hold(task: Task) -> Planted | None:
        with lock:
            began.setdefault(task.part, time.time())
        return task.hold(shop, task.number)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        futures = [pool.submit(hold, task) for task in tasks]
        try:
            progress = tqdm(
                as_completed(futures), total=len(futures), unit=" sessions", disable=quiet
            )
            results = [future.result() for future in progress]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return began, [result for result in results if result is not None]


def label(planted: Planted, lines: Sequence[str], streams: dict[str, list[int]]) -> Label:
    """Finds in the log what a planted session said."""
    ours = [key for key in streams if key.endswith(f".{planted.backend:x}")]
    stream = min(ours, key=lambda key: abs(int(key.split(".")[0], 16) - planted.opened))
    said = [
        number
        for number in streams[stream]
        if re.search(r"\] (LOG:  statement|ERROR|LOG:  disconnection): ", lines[number - 1])
    ]
    if len(said) != len(planted.history):
        raise ServerError(
            f"session {stream} said {len(planted.history)} things, its log has {len(said)}"
        )
    wrong = said[planted.wrong]
    cause = None if planted.cause is None else said[planted.cause]
    return Label(
        stream=stream,
        kind=planted.kind,
        what=planted.what,
        line=wrong,
        event=lines[wrong - 1],
        cause_line=cause,
        cause=None if cause is None else lines[cause - 1],
    )


def split(
    server: str, seed: int, lines: Sequence[str], began: dict[str, float], found: Sequence[Label]
) -> Split:
    """The parts, told by the time at which each began."""
    streams = labels.lines_by_stream(lines)
    wrong = {one.stream for one in found}
    own = sorted(number for numbers in streams.values() for number in numbers)
    first_lines: dict[str, int] = {}
    for name in PARTS:
        moment = datetime.fromtimestamp(began[name], UTC).isoformat(" ", "milliseconds")[:23]
        first_lines[name] = next(n for n in own if name == "train" or lines[n - 1][:23] >= moment)
    bounds = list(first_lines.values())
    members: dict[str, list[str]] = {name: [] for name in PARTS}
    for stream, numbers in streams.items():
        members[list(PARTS)[bisect.bisect_right(bounds, numbers[0]) - 1]].append(stream)
    parts = tuple(
        Part(name, first_lines[name], len(keys), sum(key in wrong for key in keys))
        for name, keys in members.items()
    )
    return Split(server, seed, len(lines), parts)


def record(
    out: Path, *, sessions: int, planted: int, seed: int, pace: float = 1.0, quiet: bool = False
) -> Split:
    """Writes recording.log.xz, labels.jsonl and split.json into the folder `out`.

    `sessions` are normal ones, without those that they open beside themselves. Pauses are `pace`
    times as long as usual.
    """
    tasks = plan(sessions, planted, seed)
    with running_server() as server:
        shop = Shop.furnish(server, seed, pace)
        start = len(server.read_log())
        began, wrong = hold_sessions(shop, tasks, quiet=quiet)
        log = server.read_log()[start:].decode()
    text = log.replace(f"{server.folder / 'data'}/", "")  # a path of this machine
    lines = text.splitlines()
    streams = labels.lines_by_stream(lines)
    found = sorted((label(one, lines, streams) for one in wrong), key=lambda one: one.line)
    summary = split(server.version, seed, lines, began, found)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        made = Path(scratch)
        packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
        (made / "recording.log.xz").write_bytes(packed)
        labels.write_labels(made / "labels.jsonl", found)
        labels.write_split(made / "split.json", summary)
        for file in made.iterdir():
            file.replace(out / file.name)
    return summary


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="record", description="Records the shop's log.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--sessions", type=int, default=15000, help="normal ones (default: 15000)")
    parser.add_argument("--planted", type=int, default=200, help="planted ones (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of everything but the timing")
    options = parser.parse_args(arguments)
    try:
        made = record(
            options.out, sessions=options.sessions, planted=options.planted, seed=options.seed
        )
    except ServerError as error:
        print(f"record: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    for part in made.parts:
        print(f"{part.name}: {part.sessions} sessions, {part.planted} planted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
