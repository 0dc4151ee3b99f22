"""Independent fits, each in a process of its own on a core of its own.

Two threads in one fit are 1.7 times as fast on an idle machine and many times slower on a busy one
(docs/log.md); two fits need nothing of one another.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, title: str, quiet: bool
) -> list[Result]:
    """`work` of each job, in the order of the jobs; work, jobs and results must be picklable."""
    workers = min(len(jobs), len(os.sched_getaffinity(0)))
    if workers < 2:
        return [work(job) for job in jobs]
    # Forked from a process without threads: a lock that a thread of this one holds just now would
    # stay locked in its children for ever. The imports, seconds of them, are done there once.
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([f"{__package__}.fit"])
    with ProcessPoolExecutor(workers, mp_context=server) as pool:
        results = pool.map(work, jobs)
        return list(tqdm(results, total=len(jobs), desc=title, unit="fit", disable=quiet))
